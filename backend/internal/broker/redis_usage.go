package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/wire"
)

// What each warehouse keeps. The rooms of a warehouse are of many slots, so no script can count
// them together. Each publication is answered with what its room keeps; instances count that at
// once, and once a second bring it to an index of the warehouse, of which they read the totals:
//
//	publish script ── room before, after ──▶ usages ── usage script, each second ──▶ hash :usage
//	publish script ◀── what is left ──────── usages ◀── totals ────────────────────────┘
//
// So an instance enforces exactly what is published through it, and learns of the others' within
// two seconds. The index has what each room keeps, not how it changed: an entry that was lost or is
// late is put right by the next publication to its room.

const (
	usageInterval = time.Second // between two looks at the index
	// usageIdle is how long the usage of a warehouse is known after the last publication.
	usageIdle = time.Minute
	// usageLull is the time without a publication after which the index is not read any more.
	usageLull = 5 * time.Second
	// usageBatch is how many rooms are brought to the index at once.
	usageBatch = 256
)

// usageScript notes what rooms keep, and answers {rooms, history, rbytes, rcount} of the warehouse.
// KEYS: the index, with "at history rbytes rcount" by z:zone, and in the field total "counted rooms
// history rbytes rcount". Now and then it is counted anew, without what has expired.
//
// ARGV: age of the history and of retained events in ms (0 for any), time between two counts in ms;
// then of each room zone, history (empty: as it was), rbytes (empty: the room is deleted), rcount.
var usageScript = redis.NewScript(`
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local function numbers(value)
  local list = {}
  for one in string.gmatch(value or '', '%S+') do table.insert(list, tonumber(one)) end
  return list
end
local age, retainAge = tonumber(ARGV[1]), tonumber(ARGV[2])
local total = numbers(redis.call('HGET', KEYS[1], 'total'))
if #total ~= 5 then total = {ms, 0, 0, 0, 0} end
for i = 4, #ARGV, 4 do
  local field = 'z:' .. ARGV[i]
  local old = numbers(redis.call('HGET', KEYS[1], field))
  local known = #old == 4
  if not known then old = {0, 0, 0, 0} end
  local now = {ms, tonumber(ARGV[i + 1]) or old[2], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])}
  if ARGV[i + 2] == '' then
    redis.call('HDEL', KEYS[1], field)
    now = {0, 0, 0, 0}
    if known then total[2] = total[2] - 1 end
  else
    redis.call('HSET', KEYS[1], field, text(ms) .. ' ' .. text(now[2]) .. ' ' .. text(now[3]) .. ' ' .. text(now[4]))
    if not known then total[2] = total[2] + 1 end
  end
  for j = 2, 4 do total[j + 1] = total[j + 1] + now[j] - old[j] end
end
local due = ms - total[1] >= tonumber(ARGV[3])
if due then
  total = {ms, 0, 0, 0, 0}
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if all[i] ~= 'total' then
      local room = numbers(all[i + 1])
      local history, rbytes, rcount = room[2], room[3], room[4]
      if ms - room[1] >= age then history = 0 end
      if retainAge > 0 and ms - room[1] >= retainAge then rbytes, rcount = 0, 0 end
      if history ~= room[2] or rbytes ~= room[3] then
        redis.call('HSET', KEYS[1], all[i], text(room[1]) .. ' ' .. text(history) .. ' ' .. text(rbytes) .. ' ' .. text(rcount))
      end
      total[2], total[3], total[4], total[5] = total[2] + 1, total[3] + history, total[4] + rbytes, total[5] + rcount
    end
  end
end
if #ARGV > 3 or due and total[2] > 0 then
  local parts = {}
  for i = 1, 5 do parts[i] = text(total[i]) end
  redis.call('HSET', KEYS[1], 'total', table.concat(parts, ' '))
end
return {total[2], total[3], total[4], total[5]}
`)

// usages is what the warehouses keep that were published to through this instance lately.
type usages struct {
	broker *Redis

	mu         sync.Mutex
	warehouses map[string]*usage
}

// A usage is what one warehouse keeps.
type usage struct {
	warehouse string
	reading   chan struct{} // holds a token while the index is read; unlike a mutex synctest sees who waits for it

	// Guarded by usages.mu.
	known   bool
	total   Usage                // as the index said, and what was published here since
	changed map[string]roomUsage // since it was brought to the index, by zone
	last    time.Time            // use
}

// A roomUsage is what one room keeps.
type roomUsage struct {
	Usage
	retainedOnly bool // the history is not known
	deleted      bool
}

func newUsages(b *Redis) *usages { return &usages{broker: b, warehouses: map[string]*usage{}} }

// left returns what the warehouse may keep beyond what it does. Where the index can't be read yet
// all of the quota is left: Redis will refuse the publication as well.
func (u *usages) left(ctx context.Context, warehouse string) Usage {
	u.mu.Lock()
	w := u.warehouses[warehouse]
	if w == nil {
		w = &usage{warehouse: warehouse, changed: map[string]roomUsage{}, reading: make(chan struct{}, 1)}
		u.warehouses[warehouse] = w
	}
	w.last = time.Now()
	known := w.known
	u.mu.Unlock()
	if !known {
		u.readFirst(ctx, w)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.broker.opts.Limits.Warehouse.left(w.total)
}

func (u *usages) readFirst(ctx context.Context, w *usage) {
	select {
	case w.reading <- struct{}{}:
	default:
		return // another publication reads it already; all of the quota is left meanwhile
	}
	defer func() { <-w.reading }()
	u.mu.Lock()
	known := w.known
	u.mu.Unlock()
	if !known && u.broker.Health() == nil {
		_ = u.update(ctx, w)
	}
}

// published notes what a room kept before and after a publication or, with retainedOnly, after
// retained events were deleted.
func (u *usages) published(room wire.Room, before, after Usage, retainedOnly bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	w := u.of(room)
	w.total = w.total.plus(after).minus(before)
	if last, ok := w.changed[room.Zone]; retainedOnly && ok && !last.deleted {
		after.HistoryBytes, retainedOnly = last.HistoryBytes, last.retainedOnly
	}
	w.changed[room.Zone] = roomUsage{Usage: after, retainedOnly: retainedOnly}
}

// deleted notes that a room keeps nothing any more. What is left is known at the next look at the
// index.
func (u *usages) deleted(room wire.Room) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.of(room).changed[room.Zone] = roomUsage{deleted: true}
}

// of is called with the mutex held.
func (u *usages) of(room wire.Room) *usage {
	w := u.warehouses[room.Warehouse]
	if w == nil {
		w = &usage{warehouse: room.Warehouse, changed: map[string]roomUsage{}, reading: make(chan struct{}, 1)}
		u.warehouses[room.Warehouse] = w
	}
	w.last = time.Now()
	return w
}

// run brings all of it to the index until ctx ends, and once more then.
func (u *usages) run(ctx context.Context) {
	tick := time.NewTicker(usageInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			u.updateAll(last)
			return
		}
		u.updateAll(ctx)
	}
}

func (u *usages) updateAll(ctx context.Context) {
	u.mu.Lock()
	var all []*usage
	for name, w := range u.warehouses {
		if len(w.changed) == 0 && time.Since(w.last) > usageIdle {
			delete(u.warehouses, name)
			continue
		}
		if len(w.changed) == 0 && time.Since(w.last) > usageLull {
			w.known = false // the next publication reads it
			continue
		}
		all = append(all, w)
	}
	u.mu.Unlock()
	slices.SortFunc(all, func(a, b *usage) int { return strings.Compare(a.warehouse, b.warehouse) })
	for _, w := range all {
		w.reading <- struct{}{}
		err := u.update(ctx, w)
		<-w.reading
		if err != nil {
			u.broker.opts.Log.Debug("the usage of warehouses could not be brought to Redis", "error", err)
			return // Redis is away or full: what is not noted yet is tried again
		}
	}
}

// update brings what changed in a warehouse to the index, and reads the totals. It is called with
// w.reading held.
func (u *usages) update(ctx context.Context, w *usage) error {
	for more := true; more; {
		u.mu.Lock()
		l := u.broker.opts.Limits
		args := []any{l.Age.Milliseconds(), l.RetainAge.Milliseconds(), u.broker.opts.Timings.Recount.Milliseconds()}
		sent := map[string]roomUsage{}
		for zone, r := range w.changed {
			if len(sent) == usageBatch {
				break
			}
			sent[zone] = r
			delete(w.changed, zone)
		}
		for _, zone := range slices.Sorted(maps.Keys(sent)) {
			args = append(args, sent[zone].args(zone)...)
		}
		more = len(w.changed) > 0
		base := w.total
		u.mu.Unlock()

		total, err := u.read(ctx, w, args)
		u.mu.Lock()
		if err != nil {
			for zone, r := range sent {
				if _, newer := w.changed[zone]; !newer {
					w.changed[zone] = r
				}
			}
			u.mu.Unlock()
			return err
		}
		if !more { // else what is not in the index yet is still to come
			w.total, w.known = total.plus(w.total).minus(base), true
		}
		u.mu.Unlock()
	}
	return nil
}

func (r roomUsage) args(zone string) []any {
	history, retained := strconv.Itoa(r.HistoryBytes), strconv.Itoa(r.RetainedBytes)
	if r.retainedOnly {
		history = ""
	}
	if r.deleted {
		retained = ""
	}
	return []any{zone, history, retained, r.RetainedEvents}
}

func (u *usages) read(ctx context.Context, w *usage, args []any) (Usage, error) {
	b := u.broker
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timings.Command)
	defer cancel()
	answer, err := usageScript.Run(ctx, b.client, []string{b.usageKey(w.warehouse)}, args...).Int64Slice()
	if err != nil {
		return Usage{}, err
	}
	if len(answer) != 4 {
		return Usage{}, fmt.Errorf("usage of %s: unexpected answer", w.warehouse)
	}
	return Usage{Rooms: int(answer[0]), HistoryBytes: int(answer[1]), RetainedBytes: int(answer[2]),
		RetainedEvents: int(answer[3])}, nil
}

// Usage implements [Broker].
func (b *Redis) Usage() map[string]Usage {
	b.usage.mu.Lock()
	defer b.usage.mu.Unlock()
	all := make(map[string]Usage, len(b.usage.warehouses))
	for name, w := range b.usage.warehouses {
		all[name] = w.total
	}
	return all
}

// UsageOf implements [Broker].
func (b *Redis) UsageOf(ctx context.Context, warehouse string) (Usage, error) {
	b.usage.left(ctx, warehouse) // reads the index, if that is not known
	b.usage.mu.Lock()
	defer b.usage.mu.Unlock()
	w := b.usage.warehouses[warehouse]
	if w == nil || !w.known {
		return Usage{}, wire.Errorf(wire.CodeUnavailable, "Redis does not answer")
	}
	return w.total, nil
}

// Zones implements [Broker]: the index of the warehouse has them, and what was published here since
// it was brought there.
func (b *Redis) Zones(ctx context.Context, warehouse string) ([]string, error) {
	if b.ctx.Err() != nil {
		return nil, errClosed()
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timings.Command)
	defer cancel()
	fields, err := b.client.HKeys(ctx, b.usageKey(warehouse)).Result()
	if err != nil {
		return nil, b.unavailable("list the zones of "+warehouse, err)
	}
	there := map[string]bool{}
	for _, field := range fields {
		if zone, ok := strings.CutPrefix(field, "z:"); ok {
			there[zone] = true
		}
	}
	b.usage.mu.Lock()
	defer b.usage.mu.Unlock()
	if w := b.usage.warehouses[warehouse]; w != nil {
		for zone, r := range w.changed {
			there[zone] = !r.deleted
		}
	}
	maps.DeleteFunc(there, func(zone string, is bool) bool { return zone == "" || !is })
	return slices.Sorted(maps.Keys(there)), nil
}

// parseUsage reads what the publish script answers of the room: cost, retained bytes and events,
// each before and after.
func parseUsage(parts []string) (before, after Usage, err error) {
	var n [6]int
	for i, part := range parts {
		if n[i], err = strconv.Atoi(part); err != nil {
			return Usage{}, Usage{}, fmt.Errorf("usage in Redis: %w", err)
		}
	}
	return Usage{HistoryBytes: n[0], RetainedBytes: n[2], RetainedEvents: n[4]},
		Usage{HistoryBytes: n[1], RetainedBytes: n[3], RetainedEvents: n[5]}, nil
}
