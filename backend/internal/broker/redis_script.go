package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/wire"
)

// roomPreamble makes sure that the room has an epoch. Without one its history is lost, or never
// was: what may be left of it is of another epoch and goes. A room that nobody has published to is
// forgotten after a day, since anybody may ask for any.
//
// KEYS: meta, stream, retained. ARGV[1]: an epoch that no room had before. The meta hash has the
// epoch, the number n of the last message, the bytes of data in the stream, and the time of the
// last message (at, in ms). The retained hash always has an empty field: while a cluster moves a
// slot, a server refuses a script of which some keys are there and others nowhere.
const roomPreamble = `
local time = redis.call('TIME')
local us = string.format('%.0f', time[1] * 1000000 + time[2])
local ms = tonumber(string.sub(us, 1, -4))
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'n', 'bytes', 'at')
local epoch, n = meta[1], tonumber(meta[2])
if not epoch then
  epoch, n = ARGV[1], 0
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'n', 0, 'bytes', 0, 'at', 0)
  redis.call('HSET', KEYS[3], '', '')
end
if n == 0 then -- unusedFor
  redis.call('EXPIRE', KEYS[1], 86400)
  redis.call('EXPIRE', KEYS[3], 86400)
end
local function text(number) return string.format('%.0f', number) end
`

// publishScript accepts one message. It answers "new epoch n", "again epoch n digest" for an
// idempotency key that is known, or "full" when no further event may be retained.
//
// The stream's entries have the id n-µs, and the event in the field e, or r when it is retained.
// The stream is bounded in bytes at each message; in number and age at each sixteenth, and exactly
// when it is read. All of it goes when nothing was published for as long as messages are kept.
//
// KEYS[4] and KEYS[5], with an idempotency key: the keys of the room, a hash of "ms epoch n digest"
// by key, and when each came, a sorted set; four that are too old go with each one that comes.
// ARGV: epoch, channel, event, data, retain, messages, age in ms, bytes, retained events,
// idempotency window in ms, attributes, PUBLISH or SPUBLISH, digest, idempotency key. What is
// published and retained is "epoch n µs retain attributes event\ndata"; see decodePayload.
var publishScript = redis.NewScript(roomPreamble + `
local window, key = tonumber(ARGV[10]), ARGV[14]
if KEYS[4] then
  local at, first = string.match(redis.call('HGET', KEYS[4], key) or '', '^(%d+) (.*)$')
  if at and ms - at < window then return 'again ' .. first end
end
local event, data, retain = ARGV[3], ARGV[4], ARGV[5] == '1'
if retain and redis.call('HEXISTS', KEYS[3], event) == 0 and redis.call('HLEN', KEYS[3]) > tonumber(ARGV[9]) then
  return 'full'
end
if n == 0 then
  redis.call('PERSIST', KEYS[1])
  redis.call('PERSIST', KEYS[3])
end
local messages, age, most = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
n = n + 1
redis.call('XADD', KEYS[2], text(n) .. '-' .. us, retain and 'r' or 'e', event, 'd', data)
local bytes = #data
if redis.call('XLEN', KEYS[2]) > 1 then bytes = bytes + tonumber(meta[3]) end
if bytes > most or n % 16 == 0 then
  local keep
  repeat
    local oldest = redis.call('XRANGE', KEYS[2], keep and text(keep) or '-', '+', 'COUNT', 32)
    local more = #oldest == 32
    for _, entry in ipairs(oldest) do
      local of, at = string.match(entry[1], '^(%d+)-(%d+)$')
      if bytes <= most and of + messages > n and ms - at / 1000 < age then
        more = false
        break
      end
      keep, bytes = of + 1, bytes - #entry[2][4]
    end
  until not more
  if keep then redis.call('XTRIM', KEYS[2], 'MINID', text(keep)) end
end
redis.call('PEXPIRE', KEYS[2], age)
redis.call('HSET', KEYS[1], 'n', text(n), 'bytes', text(bytes), 'at', text(ms))
local position = epoch .. ' ' .. text(n)
local message = position .. ' ' .. us .. ' ' .. ARGV[5] .. ' ' .. ARGV[11] .. ' ' .. event .. '\n' .. data
if retain then redis.call('HSET', KEYS[3], event, message) end
if KEYS[4] then
  redis.call('HSET', KEYS[4], key, text(ms) .. ' ' .. position .. ' ' .. ARGV[13])
  redis.call('ZADD', KEYS[5], text(ms), key)
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', text(ms - window), 'LIMIT', 0, 4)) do
    redis.call('HDEL', KEYS[4], old)
    redis.call('ZREM', KEYS[5], old)
  end
  redis.call('PEXPIRE', KEYS[4], window)
  redis.call('PEXPIRE', KEYS[5], window)
end
redis.call(ARGV[12], ARGV[2], message)
return 'new ' .. position
`)

// positionScript answers {epoch, n, id of the last entry or nothing, retained values…}.
var positionScript = redis.NewScript(roomPreamble + `
local answer = {epoch, text(n), ''}
local entry = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if entry then answer[3] = entry[1] end
for _, value in ipairs(redis.call('HVALS', KEYS[3])) do
  if value ~= '' then table.insert(answer, value) end
end
return answer
`)

// historyScript answers {epoch, n, entries, forked} with at most ARGV[4] entries after the offset
// ARGV[2], ARGV[3], or after the oldest that is kept when the offset is not of this history.
// ARGV[5], ARGV[6]: the messages that are kept, and their age.
//
// ARGV[8] is 1 when the message at the offset was delivered by the one who asks, and ARGV[7], if
// not empty, the time in µs when it was accepted, by which it is recognized: offsets are given
// again when a Redis comes back that had lost its latest messages (a replica that lagged, an
// append-only file that was not written). The history has forked then, which is told by a new
// epoch. The meta hash remembers the old one (was) and the number of the last message that both
// have (fork), so that only what was lost is missed.
var historyScript = redis.NewScript(roomPreamble + `
local limit, age, stamp = tonumber(ARGV[4]), tonumber(ARGV[6]), ARGV[7]
local after = tonumber(ARGV[3])
local function at(number)
  local entry = redis.call('XRANGE', KEYS[2], text(number), text(number))[1]
  return entry and string.match(entry[1], '%d+$')
end
local forked = 0
if epoch == ARGV[2] and ARGV[8] == '1' and (after > n or stamp ~= '' and (at(after) or stamp) ~= stamp) then
  local fork = math.min(after, n)
  while stamp ~= '' and fork > 0 and tonumber(at(fork) or 0) > tonumber(stamp) do fork = fork - 1 end
  epoch, forked = ARGV[1], 1
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'was', ARGV[2], 'fork', text(fork))
end
local from = math.max(1, n - tonumber(ARGV[5]) + 1)
if epoch == ARGV[2] then
  if after > n then return {epoch, text(n), {}, forked} end
  from = math.max(from, after + 1)
else
  local past = redis.call('HMGET', KEYS[1], 'was', 'fork')
  if past[1] == ARGV[2] then
    local shared = tonumber(past[2])
    if stamp ~= '' and at(after) == stamp then shared = after end -- it has nothing of what was lost
    from = math.max(from, math.min(after, shared) + 1)
  end
end
local entries = {}
repeat
  local found = redis.call('XRANGE', KEYS[2], text(from), '+', 'COUNT', limit)
  for _, entry in ipairs(found) do
    local of, at = string.match(entry[1], '^(%d+)-(%d+)$')
    from = of + 1
    if ms - at / 1000 < age then table.insert(entries, entry) end
  end
until #entries > 0 or #found < limit
return {epoch, text(n), entries, forked}
`)

// rememberScript keeps a room for another day that nobody has published to. KEYS: meta, retained.
var rememberScript = redis.NewScript(`
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) > 0 then redis.call('EXPIRE', key, 86400) end -- unusedFor
end
return 1
`)

// run evaluates a script that only one room is concerned with. Reading may be repeated.
func (b *Redis) run(ctx context.Context, script *redis.Script, room wire.Room, args ...any) ([]any, error) {
	k := keysOf(room)
	return script.Run(ctx, b.client, []string{k.meta, k.stream, k.retained}, append([]any{NewEpoch()}, args...)...).Slice()
}

// position returns how the room stands, and when its last message was accepted (0 if unknown).
func (b *Redis) position(ctx context.Context, room wire.Room) (s Snapshot, accepted wire.Micros, err error) {
	answer, err := b.run(ctx, positionScript, room)
	if err != nil {
		return Snapshot{}, 0, err
	}
	parts, err := texts(answer)
	if err != nil || len(parts) < 3 {
		return Snapshot{}, 0, fmt.Errorf("position of %s: unexpected answer (%w)", room, err)
	}
	if s.Offset, err = parseOffset(parts[0], parts[1]); err != nil {
		return Snapshot{}, 0, err
	}
	if n, at, ok := strings.Cut(parts[2], "-"); ok && n == parts[1] {
		if accepted, err = parseMicros(at); err != nil {
			return Snapshot{}, 0, fmt.Errorf("position of %s: %w", room, err)
		}
	}
	for _, payload := range parts[3:] {
		m, _, err := decodePayload(room, payload, b.opts.MaxDataBytes)
		if err != nil { // the next one that is retained replaces it
			b.refuse(bus.Stored, room, err)
			continue
		}
		s.Retained = append(s.Retained, m)
	}
	slices.SortFunc(s.Retained, func(a, b *Message) int { return cmp.Compare(a.Offset.N, b.Offset.N) })
	return s, accepted, nil
}

func texts(values []any) ([]string, error) {
	out := make([]string, len(values))
	for i, v := range values {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("not a text: %T", v)
		}
		out[i] = s
	}
	return out, nil
}

// History implements [Broker].
func (b *Redis) History(ctx context.Context, room wire.Room, after wire.Offset, limit int) (Page, error) {
	if b.ctx.Err() != nil {
		return Page{}, errClosed()
	}
	page, err := b.history(ctx, room, after, undelivered, limit)
	if err != nil {
		return Page{}, b.unavailable("read history of "+room.String(), err)
	}
	return page, nil
}

// undelivered is the time of a message that was not delivered here: a client names its offset.
const undelivered wire.Micros = -1

// history reads a page. accepted is the time of the message at the offset, 0 if that is unknown.
func (b *Redis) history(ctx context.Context, room wire.Room, after wire.Offset, accepted wire.Micros,
	limit int) (Page, error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timings.Command)
	defer cancel()
	known, delivered := "", 1
	switch {
	case accepted == undelivered:
		delivered = 0
	case accepted != 0:
		known = strconv.FormatInt(int64(accepted), 10)
	}
	answer, err := b.run(ctx, historyScript, room, after.Epoch, after.N, limit, b.opts.Limits.Messages,
		b.opts.Limits.Age.Milliseconds(), known, delivered)
	if err != nil {
		return Page{}, err
	}
	if len(answer) != 4 {
		return Page{}, errors.New("unexpected answer")
	}
	head, err := texts(answer[:2])
	if err != nil {
		return Page{}, err
	}
	current, err := parseOffset(head[0], head[1])
	if err != nil {
		return Page{}, err
	}
	entries, ok := answer[2].([]any)
	if !ok {
		return Page{}, errors.New("unexpected entries")
	}
	if answer[3] == int64(1) {
		b.opts.Log.Error("Redis lost messages that were delivered: the room has a new epoch",
			"room", room, "delivered", after, "now", current)
		if b.opts.OnFork != nil {
			b.opts.OnFork()
		}
	}
	kept := make([]*Message, 0, len(entries))
	for _, e := range entries {
		m, err := decodeEntry(room, current.Epoch, e, b.opts.MaxDataBytes)
		if err != nil { // a gap, if nothing that follows closes it
			b.refuse(bus.Stored, room, err)
			continue
		}
		if len(kept) > 0 && m.Offset.N != kept[len(kept)-1].Offset.N+1 {
			break // what follows comes with the next page, after the gap
		}
		kept = append(kept, m)
	}
	return newPage(after, current, kept), nil
}
