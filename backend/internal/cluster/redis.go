package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/redisconn"
)

// nodesKey is a hash: name ─▶ "{time of the announcement, ms} {JSON}".
const nodesKey = "zonecast:nodes"

// announceScript announces a node and answers {the JSON of all that live, the names of those that fell silent}. Who was
// silent for long is removed. The clock is Redis's.
//
// ARGV: name, JSON, gone and forgotten in ms. Without JSON the announcement is taken back.
var announceScript = redis.NewScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
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
	self   func() Node
	client redis.UniversalClient
	log    *slog.Logger

	mu     sync.Mutex
	others []Node
	silent []string
	heard  time.Time // when others was read
	err    error     // of the last announcement
}

var _ Cluster = (*Redis)(nil)

// OpenRedis returns the cluster of all instances that use this Redis. It does not wait for Redis.
func OpenRedis(target *redisconn.Target, log *slog.Logger, self func() Node) *Redis {
	return &Redis{self: self, client: target.Client(redisconn.Tuning{Timeout: every, PoolSize: 2}), log: log}
}

// View implements [Cluster].
func (c *Redis) View() View {
	self := c.self()
	c.mu.Lock()
	defer c.mu.Unlock()
	v := View{Nodes: append([]Node{self}, c.others...), Silent: c.silent}
	slices.SortFunc(v.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	switch age := time.Since(c.heard); {
	case c.heard.IsZero() && c.err == nil:
		v.Incomplete = "other instances have not been asked yet"
	case c.err != nil || age > gone:
		v.Incomplete = "Redis is not available, so other instances were not asked"
		for _, n := range c.others {
			v.Silent = append(v.Silent[:len(v.Silent):len(v.Silent)], n.Name)
		}
		v.Nodes = []Node{self}
	case len(c.silent) > 0:
		v.Incomplete = "not heard of any more: " + strings.Join(c.silent, ", ")
	}
	return v
}

// Run implements [Cluster].
func (c *Redis) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := c.announce(ctx)
		c.mu.Lock()
		if err != nil && c.err == nil && ctx.Err() == nil {
			c.log.Warn("this instance could not be announced", "error", err)
		}
		c.err = err
		c.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.leave()
			return
		}
	}
}

func (c *Redis) announce(ctx context.Context) error {
	self := c.self()
	p, err := json.Marshal(self)
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	live, silent, err := c.run(ctx, self.Name, string(p))
	if err != nil {
		return err
	}
	slices.Sort(silent)
	others := make([]Node, 0, len(live))
	for _, text := range live {
		var n Node
		if err := json.Unmarshal([]byte(text), &n); err != nil {
			c.log.Warn("an instance's announcement is not readable", "error", err)
			continue
		}
		if n.Name != self.Name {
			others = append(others, n)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.others, c.silent, c.heard = others, silent, time.Now()
	return nil
}

func (c *Redis) run(ctx context.Context, name, json string) (live, silent []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, every)
	defer cancel()
	answer, err := announceScript.Run(ctx, c.client, []string{nodesKey}, name, json,
		gone.Milliseconds(), forgotten.Milliseconds()).Slice()
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
func (c *Redis) Close() error { return c.client.Close() }
