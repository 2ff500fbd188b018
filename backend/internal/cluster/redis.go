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
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/redisconn"
)

// nodesKey is a hash: id, a space and the name ─▶ "{time of the announcement, ms} {JSON}".
const nodesKey = "zonecast:nodes"

// announceScript announces a node and answers {the JSON of all that live, the fields of those that fell silent}. Who was
// silent for long is removed. One that announces itself for the first time takes the place of those of the same name, which
// are its own earlier lives; another one that lives announces itself again within a second. The clock is Redis's.
//
// ARGV: field, JSON, gone and forgotten in ms, 1 for the first time. Without JSON the announcement is taken back.
var announceScript = redis.NewScript(`
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
    table.insert(silent, all[i])
  else
    table.insert(live, json)
  end
end
redis.call('PEXPIRE', KEYS[1], 86400000)
return {live, silent}
`)

// Redis is a cluster whose instances find each other in Redis.
type Redis struct {
	// Static after construction.
	self     func() Node
	id       string
	answer   Answerer
	client   redis.UniversalClient
	waiter   redis.UniversalClient // its connections wait for answers, so that they are not missing elsewhere
	asking   chan struct{}         // holds a token for each question that is asked
	log      *slog.Logger
	overload *overload

	mu      sync.Mutex
	others  []Node
	silent  []string  // names
	heard   time.Time // when others was read
	settled time.Time // when all that live have had the time to announce themselves, since Redis was there
	missed  []string  // names of those that were there before Redis went, and have not come back
	twin    bool      // another instance of this name lives
	err     error     // of the last announcement
}

var _ Cluster = (*Redis)(nil)

// Options of [OpenRedis]. All are needed.
type Options struct {
	Target *redisconn.Target
	Log    *slog.Logger
	Self   func() Node
	Answer Answerer
}

// OpenRedis returns the cluster of all instances that use this Redis. It does not wait for Redis.
func OpenRedis(o Options) *Redis {
	return &Redis{self: o.Self, id: rand.Text()[:12], answer: o.Answer, log: o.Log, asking: make(chan struct{}, asking),
		client:   o.Target.Client(redisconn.Tuning{Timeout: every, PoolSize: 4}),
		waiter:   o.Target.Client(redisconn.Tuning{Timeout: every, PoolSize: asking}),
		overload: newOverload()}
}

// me is this instance.
func (c *Redis) me() Node {
	n := c.self()
	n.ID = c.id
	return n
}

// View implements [Cluster].
func (c *Redis) View() View {
	me := c.me()
	c.mu.Lock()
	defer c.mu.Unlock()
	v := View{Nodes: append([]Node{me}, c.others...), Silent: slices.Concat(c.silent, c.missed)}
	slices.SortFunc(v.Nodes, func(a, b Node) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	switch age := time.Since(c.heard); {
	case c.heard.IsZero() && c.err == nil:
		v.Incomplete = "other instances have not been asked yet"
	case c.err != nil || age > gone: // the second when this process was frozen
		v.Incomplete = "Redis is not available, so other instances were not asked"
		for _, n := range c.others {
			v.Silent = append(v.Silent, n.Name)
		}
		v.Nodes = []Node{me}
	case len(v.Silent) > 0:
		v.Incomplete = "not heard of any more: " + strings.Join(v.Silent, ", ")
	case time.Now().Before(c.settled):
		v.Incomplete = "other instances may not have announced themselves yet"
	}
	slices.Sort(v.Silent)
	return v
}

// Run implements [Cluster].
func (c *Redis) Run(ctx context.Context) {
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() { c.listen(ctx) })
	listening.Go(func() { c.sendAnnouncements(ctx) })
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		c.note(ctx, c.announce(ctx))
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.leave()
			return
		}
	}
}

// settleFor is how long other instances may take to announce themselves after Redis came back.
const settleFor = 3 * every

// note keeps how the last announcement went.
func (c *Redis) note(ctx context.Context, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		if c.err == nil {
			c.log.Warn("this instance could not be announced", "error", err)
		}
		for _, n := range c.others {
			c.missed = append(c.missed, n.Name)
		}
		c.others = nil
		c.settled = time.Time{}
	}
	if err == nil && c.settled.IsZero() {
		c.settled = time.Now().Add(settleFor)
	}
	if err == nil && time.Now().After(c.settled) {
		c.missed = nil
	}
	c.err = err
}

func (c *Redis) announce(ctx context.Context) error {
	me := c.me()
	p, err := json.Marshal(me)
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	live, silent, err := c.run(ctx, me.Name, string(p))
	if err != nil {
		return err
	}
	others := make([]Node, 0, len(live))
	for _, text := range live {
		var n Node
		if err := json.Unmarshal([]byte(text), &n); err != nil {
			c.log.Warn("an instance's announcement is not readable", "error", err)
			continue
		}
		if n.ID != c.id {
			others = append(others, n)
		}
	}
	for i, field := range silent {
		_, silent[i], _ = strings.Cut(field, " ")
	}
	lives := func(name string) bool {
		return name == me.Name || slices.ContainsFunc(others, func(n Node) bool { return n.Name == name })
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.others, c.silent, c.heard = others, silent, time.Now()
	c.missed = slices.DeleteFunc(c.missed, lives)
	twin := slices.ContainsFunc(others, func(n Node) bool { return n.Name == me.Name })
	if twin && !c.twin {
		c.log.Error("another instance has the same name: give each one a NODE_NAME of its own", "node", me.Name)
	}
	c.twin = twin
	return nil
}

func (c *Redis) run(ctx context.Context, name, json string) (live, silent []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, every)
	defer cancel()
	first := 0
	c.mu.Lock()
	if c.heard.IsZero() {
		first = 1
	}
	c.mu.Unlock()
	answer, err := announceScript.Run(ctx, c.client, []string{nodesKey}, c.id+" "+name, json,
		gone.Milliseconds(), forgotten.Milliseconds(), first).Slice()
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

// leave takes the announcement back. If that fails, the others find out within 4 s.
func (c *Redis) leave() {
	if _, _, err := c.run(context.Background(), c.self().Name, ""); err != nil {
		c.log.Debug("announcement not taken back", "error", err)
	}
}

// Close implements [Cluster].
func (c *Redis) Close() error { return errors.Join(c.client.Close(), c.waiter.Close()) }
