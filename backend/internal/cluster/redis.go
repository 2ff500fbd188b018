package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/internal/redisconn"
	"github.com/zonecast/zonecast/backend/wire"
)

// nodesKey, after the prefix, is a hash: id, a space and the name ─▶ "{time of the
// announcement, ms} {JSON}".
const nodesKey = ":nodes"

// announceScript announces a node and answers {of all that live the age of their announcement in
// ms, a space and the JSON, of the silent ones the age, a space and the field}. Those that are
// silent for long are removed. The first announcement of a process replaces those of the same name,
// which are of its earlier runs; another process of that name that lives announces itself again
// within a second. The clock is Redis's.
//
// ARGV: field, JSON, age in ms at which one is silent, and removed, 1 for the first time. Without
// JSON the announcement is retracted.
var announceScript = redis.NewScript(evenWhenFull + `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function name(field) return string.match(field, '^%S+ (.*)$') end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
end
if ARGV[5] == '1' then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if field ~= ARGV[1] and name(field) == name(ARGV[1]) then redis.call('HDEL', KEYS[1], field) end
  end
end
local live, silent = {}, {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local at, json = string.match(all[i + 1], '^(%d+) (.*)$')
  local age = at and now - at
  if not age or age >= tonumber(ARGV[4]) then
    redis.call('HDEL', KEYS[1], all[i])
  elseif age >= tonumber(ARGV[3]) then
    table.insert(silent, string.format('%.0f', age) .. ' ' .. all[i])
  else
    table.insert(live, string.format('%.0f', age) .. ' ' .. json)
  end
end
redis.call('PEXPIRE', KEYS[1], 86400000)
return {live, silent}
`)

// evenWhenFull begins the scripts that must work when Redis is out of memory: instances have to
// hear of one another and of revocations just then. Redis asks for room only before a script's
// first write, and this one needs none. What the scripts write is small and bounded.
const evenWhenFull = `redis.call('PERSIST', KEYS[1])
`

// Redis is a cluster whose instances find each other in Redis.
type Redis struct {
	// Static after construction.
	self     func() Node
	id       string
	answer   Answerer
	client   redis.UniversalClient
	waiter   redis.UniversalClient // its connections block until answers come
	askSlots chan struct{}         // holds a token for each open question
	prefix   string                // of all keys and channels
	log      *slog.Logger
	interval time.Duration // between two announcements
	overload *overload
	signer   *bus.Signer
	onRefuse func(bus.Kind, bus.Refusal)

	lastWarned atomic.Int64           // Unix time of the last warning of what was refused
	foreign    atomic.Pointer[string] // what to say of a foreign cluster

	mu          sync.Mutex
	others      []Node
	known       map[string]Node // by ID: those that live, and the last announcement of those that are gone
	gone        []Gone          // that Redis remembers
	refreshedAt time.Time       // when others was read
	// graceUntil is when all that live have had time to announce themselves, since Redis is back.
	graceUntil time.Time
	lost       []Gone // those that were there before Redis went, and have not come back
	// duplicateName says that another instance of this name lives.
	duplicateName bool
	err           error // of the last announcement
}

var _ Cluster = (*Redis)(nil)

const (
	// After so many intervals without an announcement an instance is silent, not awaited any more,
	// and forgotten.
	silentIntervals, awaitedIntervals, forgottenIntervals = 4, 60, 24 * 3600
	// graceIntervals is how long others may take to announce themselves after Redis came back.
	graceIntervals = 3
	// commandTimeout bounds each command.
	commandTimeout = time.Second
)

// Options of [OpenRedis]. Those without a default are needed.
type Options struct {
	Target *redisconn.Target
	Log    *slog.Logger
	Self   func() Node
	Answer Answerer
	// Prefix begins the names of all keys and channels (default redisconn.DefaultPrefix). Instances
	// with different ones know nothing of one another.
	Prefix string
	// Interval is the time between two announcements (default 1 s).
	Interval time.Duration
	// Signer signs what this instance tells others and verifies what they say; nil for neither.
	Signer *bus.Signer
	// OnRefuse, if not nil, is called when something is not what an instance would say.
	OnRefuse func(bus.Kind, bus.Refusal)
}

// OpenRedis returns the cluster of all instances that use this Redis. It does not wait for Redis.
func OpenRedis(o Options) *Redis {
	return &Redis{self: o.Self, id: rand.Text()[:12], answer: o.Answer, log: o.Log, askSlots: make(chan struct{}, maxAsking),
		prefix: cmp.Or(o.Prefix, redisconn.DefaultPrefix), interval: cmp.Or(o.Interval, time.Second),
		client:   o.Target.Client(redisconn.Tuning{Timeout: commandTimeout, PoolSize: 4}),
		waiter:   o.Target.Client(redisconn.Tuning{Timeout: commandTimeout, PoolSize: maxAsking}),
		overload: newOverload(), signer: o.Signer, onRefuse: o.OnRefuse}
}

// ID is that of this instance among the nodes of a view.
func (c *Redis) ID() string { return c.id }

func (c *Redis) node() Node {
	n := c.self()
	n.ID, n.Warning = c.id, c.withForeign(n.Warning)
	return n
}

// View implements [Cluster].
func (c *Redis) View() View { return c.view(c.node()) }

// Incomplete implements [Cluster].
func (c *Redis) Incomplete() string { return c.view(Node{}).Incomplete }

// view is what is known, with this instance as it is given.
func (c *Redis) view(me Node) View {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := View{Nodes: append([]Node{me}, c.others...), Gone: slices.Concat(c.gone, c.lost)}
	slices.SortFunc(v.Nodes, func(a, b Node) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	switch age := time.Since(c.refreshedAt); {
	case c.refreshedAt.IsZero() && c.err == nil:
		v.Incomplete, v.Unasked = "other instances have not been asked yet", true
	case c.err != nil || age > silentIntervals*c.interval: // the second when this process was frozen
		v.Incomplete = "Redis is not available, so other instances were not asked"
		v.Gone = append(v.Gone, c.goneLocked(c.others)...)
		v.Nodes, v.Away = []Node{me}, true
	case len(c.silentLocked(v)) > 0:
		v.Incomplete = "not heard of any more: " + strings.Join(c.silentLocked(v), ", ")
	case time.Now().Before(c.graceUntil):
		v.Incomplete = "other instances may not have announced themselves yet"
	}
	slices.SortFunc(v.Gone, func(a, b Gone) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	v.Silent = c.silentLocked(v)
	return v
}

// silentLocked returns the names of those that are gone and still waited for.
func (c *Redis) silentLocked(v View) (names []string) {
	for _, g := range v.Gone {
		until := g.Since.Add(awaitedIntervals * c.interval)
		if slices.ContainsFunc(c.lost, func(l Gone) bool { return l.ID == g.ID }) {
			until = c.graceUntil
		}
		if v.Away || time.Now().Before(until) {
			names = append(names, g.Name)
		}
	}
	slices.Sort(names)
	return names
}

// goneLocked returns nodes as gone, since the last announcements were read.
func (c *Redis) goneLocked(nodes []Node) (gone []Gone) {
	for _, n := range nodes {
		gone = append(gone, Gone{ID: n.ID, Name: n.Name, Since: c.refreshedAt, Last: &n, WithRedis: true})
	}
	return gone
}

// Run implements [Cluster].
func (c *Redis) Run(ctx context.Context) {
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() { c.answerQuestions(ctx) })
	listening.Go(func() { c.sendAnnouncements(ctx) })
	listening.Go(func() { c.lookForForeign(ctx) })
	tick := time.NewTicker(c.interval)
	defer tick.Stop()
	for {
		c.recordOutcome(ctx, c.announce(ctx))
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.retract()
			return
		}
	}
}

// recordOutcome keeps how the last announcement went.
func (c *Redis) recordOutcome(ctx context.Context, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		if c.err == nil {
			c.log.Warn("announcement failed: other instances do not see this one", "error", err)
		}
		c.lost = append(c.lost, c.goneLocked(c.others)...)
		c.others = nil
		c.graceUntil = time.Time{}
	}
	if err == nil && c.graceUntil.IsZero() {
		c.graceUntil = time.Now().Add(graceIntervals * c.interval)
	}
	c.err = err
}

func (c *Redis) announce(ctx context.Context) error {
	me := c.node()
	p, err := json.Marshal(me)
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	live, silent, err := c.runAnnounce(ctx, me.Name, c.signer.Seal(bus.Announcement, "", string(p)))
	if err != nil {
		return err
	}
	others := make([]Node, 0, len(live))
	now := time.Now()
	for _, text := range live {
		age, announcement, _ := strings.Cut(text, " ")
		n, err := c.openAnnouncement(announcement)
		if err != nil {
			c.refuse(bus.Announcement, err)
			continue
		}
		if n.ID != c.id && len(others) < maxNodes {
			n.Heard = now.Add(-milliseconds(age))
			others = append(others, n)
		}
	}
	lives := func(name string) bool {
		return name == me.Name || slices.ContainsFunc(others, func(n Node) bool { return n.Name == name })
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := map[string]Node{}
	for _, n := range others {
		known[n.ID] = n
	}
	c.gone = nil
	for _, text := range silent {
		age, field, _ := strings.Cut(text, " ")
		g := Gone{Since: now.Add(-milliseconds(age))}
		var ok bool
		if g.ID, g.Name, ok = strings.Cut(field, " "); !ok || len(c.gone) == maxNodes {
			continue
		}
		if last, heard := c.known[g.ID]; heard {
			g.Last, known[g.ID] = &last, last
		}
		c.gone = append(c.gone, g)
	}
	c.others, c.known, c.refreshedAt = others, known, now
	c.lost = slices.DeleteFunc(c.lost, func(l Gone) bool {
		return lives(l.Name) || now.Sub(l.Since) > forgottenIntervals*c.interval || slices.ContainsFunc(c.gone, func(g Gone) bool { return g.ID == l.ID })
	})
	duplicate := slices.ContainsFunc(others, func(n Node) bool { return n.Name == me.Name })
	if duplicate && !c.duplicateName {
		c.log.Error("another instance has the same name: give each one its own NODE_NAME", "node", me.Name)
	}
	c.duplicateName = duplicate
	return nil
}

// milliseconds reads an age that the script wrote.
func milliseconds(text string) time.Duration {
	ms, _ := strconv.ParseInt(text, 10, 64) // it writes nothing else
	return time.Duration(ms) * time.Millisecond
}

func (c *Redis) runAnnounce(ctx context.Context, name, json string) (live, silent []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	first := 0
	c.mu.Lock()
	if c.refreshedAt.IsZero() {
		first = 1
	}
	c.mu.Unlock()
	answer, err := announceScript.Run(ctx, c.client, []string{c.prefix + nodesKey}, c.id+" "+name, json,
		silentIntervals*c.interval.Milliseconds(), forgottenIntervals*c.interval.Milliseconds(), first).Slice()
	if err != nil {
		return nil, nil, err
	}
	var lists [2][]string
	for i, list := range answer {
		values, ok := list.([]any)
		if !ok || i >= len(lists) {
			return nil, nil, fmt.Errorf("announce: unexpected answer %T", list)
		}
		for _, v := range values {
			lists[i] = append(lists[i], fmt.Sprint(v))
		}
	}
	return lists[0], lists[1], nil
}

// retract takes the announcement back. If that fails, it is silent after 4 s.
func (c *Redis) retract() {
	if _, _, err := c.runAnnounce(context.Background(), c.self().Name, ""); err != nil {
		c.log.Debug("announcement not retracted", "error", err)
	}
}

// Dismiss implements [Cluster].
func (c *Redis) Dismiss(ctx context.Context, id string) (bool, error) {
	is := func(g Gone) bool { return g.ID == id }
	gone := c.View().Gone
	i := slices.IndexFunc(gone, is)
	if i < 0 {
		return false, nil
	}
	if err := c.client.HDel(ctx, c.prefix+nodesKey, id+" "+gone[i].Name).Err(); err != nil {
		return false, &wire.Error{Code: wire.CodeUnavailable, RetryAfter: c.interval.Milliseconds(),
			Message: "Redis is not available, where instances are remembered: dismiss " + gone[i].Name + " when it is back"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone, c.lost = slices.DeleteFunc(c.gone, is), slices.DeleteFunc(c.lost, is)
	return true, nil
}

// Close implements [Cluster].
func (c *Redis) Close() error { return errors.Join(c.client.Close(), c.waiter.Close()) }
