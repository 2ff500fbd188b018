package sim

import (
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/internal/history"
)

// fault makes one happen, and its end.
func (w *world) fault(f Fault) {
	w.logf(f.Name, "%s %d for %v", f.Kind, f.N, f.For)
	later := func(do func()) {
		w.after(f.For, func() {
			w.logf(f.Name, "is over")
			do()
		})
	}
	switch f.Kind {
	case "cut client":
		if c := nth(w.clients, f.N); c != nil && c.peer != nil {
			c.leave()
		}
	case "away client":
		if c := nth(w.clients, f.N); c != nil && c.peer != nil {
			c.leave()
			c.away(f.For)
		}
	case "half-open client": // the server is not told
		if c := nth(w.clients, f.N); c != nil && c.peer != nil {
			w.net.mu.Lock()
			c.peer.out.held, c.peer.to.held = true, true
			w.net.mu.Unlock()
			c.away(0)
		}
	case "sleep client":
		if c := nth(w.clients, f.N); c != nil && c.peer != nil {
			c.sleep(true)
			later(func() { c.sleep(false) })
		}
	case "restless client":
		if c := nth(w.clients, f.N); c != nil {
			c.restless = true
			later(func() { c.restless = false })
		}
	case "rejoin client":
		if c := nth(w.clients, f.N); c != nil {
			c.leaveRoom(f.For)
		}
	case "kill instance":
		if in := w.leaver(f.N); in != nil {
			w.record(history.Record{Kind: history.Ended, Who: in.name})
			in.kill(w.redis)
			later(w.startInstance)
		}
	case "drain instance":
		if in := w.leaver(f.N); in != nil {
			w.record(history.Record{Kind: history.Ended, Who: in.name})
			in.drain()
			later(w.startInstance)
		}
	case "cut pubsub":
		w.redis.cutAll(func(c *redisConn) bool { return len(c.subscribed) > 0 })
	case "lose pubsub":
		w.redis.deaf = true
		later(func() { w.redis.deaf = false })
	case "double pubsub":
		w.redis.twice = true
		later(func() { w.redis.twice = false })
	case "slow pubsub":
		w.slow(f)
	case "freeze redis":
		w.redis.freeze(true)
		later(func() { w.redis.freeze(false) })
	case "restart redis":
		w.redis.down = true
		w.redis.cutAll(func(*redisConn) bool { return true })
		w.lose(0)
		later(func() { w.redis.down = false })
	case "empty redis":
		w.redis.cutAll(func(*redisConn) bool { return true })
		w.lose(1 << 30)
	case "failover":
		w.redis.cutAll(func(*redisConn) bool { return true })
		w.lose(f.N)
	case "demote": // some connections stay at the old master, which tells nothing any more
		w.redis.cutAll(func(c *redisConn) bool { return len(c.subscribed) == 0 })
		w.lose(f.N)
	case "full redis":
		w.redis.full = true
		later(func() { w.redis.full = false })
	case "cut instance from redis":
		if in := w.leaver(f.N); in != nil {
			w.redis.cutAll(func(c *redisConn) bool { return c.instance == in.name })
		}
	}
}

func nth[T any](all []*T, n int) *T {
	if len(all) == 0 {
		return nil
	}
	return all[n%len(all)]
}

// leaver returns an instance that is not leaving, or nil.
func (w *world) leaver(n int) *instance {
	var open []*instance
	for _, in := range w.instances {
		if !in.leaving {
			open = append(open, in)
		}
	}
	return nth(open, n)
}

// lose rebuilds Redis without its last writes.
func (w *world) lose(writes int) {
	if writes > 0 {
		w.record(history.Record{Kind: history.Lost})
	}
	if err := w.redis.rebuild(writes); err != nil {
		w.failf("rebuild Redis: %v", err)
	}
}

// slow delays what pub/sub delivers to one instance.
func (w *world) slow(f Fault) {
	var slowed []*link
	w.net.mu.Lock()
	for _, c := range w.redis.conns {
		if len(c.subscribed) > 0 && !strings.Contains(c.subscribed[0], ":echo:") && c.instance == "i1" {
			c.peer.to.slow = time.Duration(f.N*100) * time.Millisecond
			slowed = append(slowed, c.peer.to)
		}
	}
	w.net.mu.Unlock()
	w.after(f.For, func() {
		w.net.mu.Lock()
		defer w.net.mu.Unlock()
		for _, l := range slowed {
			l.slow = 0
		}
	})
}

// heal ends all faults.
func (w *world) heal() {
	w.logf("*", "all faults are over")
	r := w.redis
	r.deaf, r.twice, r.full, r.down = false, false, false, false
	r.freeze(false)
	for _, c := range w.clients {
		c.restless = false
		if c.asleep {
			c.sleep(false)
			c.asleep = true // since it connected
		}
	}
	w.calm = true
}
