package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/history"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// full makes the faults last as long as they do in bad times; without it they are short.
var full = flag.Bool("full", false, "let the faults of TestChaos last for as long as they do in bad times")

// long returns how long a fault lasts.
func long(brief, whole time.Duration) time.Duration {
	if *full {
		return whole
	}
	return brief
}

// A fault happens to a stack while services publish and clients listen.
type fault struct {
	name    string
	options stack.Options
	// loses allows messages to be told as gaps: Redis itself may have lost some. all says that it
	// has lost everything, so that every client must be told.
	loses, all bool
	happen     func(t *testing.T, s *stack.Stack, load *load)
}

var faults = []fault{
	// With everysec, Redis puts its writes off while the disk is busy: a kill then loses what it
	// had answered for.
	{name: "Redis is killed and restarted", options: stack.Options{RedisArgs: []string{"--appendfsync", "always"}}, happen: func(t *testing.T, s *stack.Stack, l *load) {
		for range 2 {
			testkit.Must(t, s.Redis.Kill())
			time.Sleep(long(time.Second, 10*time.Second))
			testkit.Must(t, s.Redis.Start(t.Context()))
			l.goOn(t)
		}
	}},
	{name: "Redis hangs", happen: func(t *testing.T, s *stack.Stack, l *load) {
		freeze(t, s.Redis.Process, long(7*time.Second, 20*time.Second))
	}},
	{name: "Redis comes back empty", loses: true, all: true, happen: func(t *testing.T, s *stack.Stack, l *load) {
		testkit.Must(t, s.Redis.Kill())
		testkit.Must(t, os.RemoveAll(s.Dir()+"/redis/appendonlydir"))
		time.Sleep(long(0, 5*time.Second))
		testkit.Must(t, s.Redis.Start(t.Context()))
	}},
	{name: "subscriptions are cut off", happen: func(t *testing.T, s *stack.Stack, l *load) {
		for range 10 {
			if _, err := s.Redis.Command(t.Context(), "CLIENT KILL TYPE pubsub"); err != nil {
				t.Error(err)
			}
			time.Sleep(long(200*time.Millisecond, 2*time.Second))
		}
	}},
	{name: "a cluster's master is killed", options: stack.Options{Kind: stack.Clustered}, loses: true,
		happen: func(t *testing.T, s *stack.Stack, l *load) {
			failOver(t, l, func() (*stack.Redis, error) {
				owner, _, err := s.Owner(t.Context(), metaKey(l.zones[0]))
				return owner, err
			})
		}},
	{name: "a cluster's slots move", options: stack.Options{Kind: stack.Clustered}, happen: func(t *testing.T, s *stack.Stack, l *load) {
		for round := range int(long(2, 10)) {
			for _, zone := range l.zones {
				owner, slot, err := s.Owner(t.Context(), metaKey(zone))
				testkit.Must(t, err)
				to := s.Redises[round%3]
				if to == owner {
					to = s.Redises[(round+1)%3]
				}
				testkit.Must(t, s.MoveSlot(t.Context(), slot, owner, to))
				l.goOn(t)
			}
		}
	}},
	{name: "Sentinels make another master", options: stack.Options{Kind: stack.Watched}, loses: true,
		happen: func(t *testing.T, s *stack.Stack, l *load) {
			failOver(t, l, func() (*stack.Redis, error) { return s.Master(t.Context()) })
		}},
	{name: "an instance is killed", happen: func(t *testing.T, s *stack.Stack, l *load) {
		for _, i := range s.Instances {
			testkit.Must(t, i.Kill())
			time.Sleep(long(time.Second, 10*time.Second))
			testkit.Must(t, i.Start(t.Context()))
			l.goOn(t)
		}
	}},
	{name: "an instance freezes and thaws", happen: func(t *testing.T, s *stack.Stack, l *load) {
		for _, i := range s.Instances {
			freeze(t, i.Process, long(3*time.Second, 20*time.Second))
			l.goOn(t)
		}
	}},
	{name: "an instance is frozen for a minute", // the rooms keep all that it misses
		options: stack.Options{Settings: map[string]string{"HISTORY_MESSAGES": "20000"}},
		happen:  func(t *testing.T, s *stack.Stack, l *load) { freeze(t, s.Instances[1].Process, time.Minute) }},
	{name: "subscribers are left at a demoted master", options: stack.Options{Kind: stack.Watched}, loses: true,
		happen: func(t *testing.T, s *stack.Stack, l *load) {
			demoted, err := s.Master(t.Context())
			testkit.Must(t, err)
			_, err = s.Sentinels[0].Command(t.Context(), "SENTINEL FAILOVER zonecast")
			testkit.Must(t, err)
			testkit.Succeeds(t, "another server is the master", func() error {
				if now, err := s.Master(t.Context()); err != nil || now == demoted {
					return fmt.Errorf("%v, %v", now, err)
				}
				return nil
			})
			// It lives on and follows nobody, so that nothing that is published reaches who listens
			// there; the Sentinels mend that again and again.
			for end := time.Now().Add(long(5*time.Second, 30*time.Second)); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				_, err := demoted.Command(t.Context(), "REPLICAOF 127.0.0.1 1")
				testkit.Must(t, err)
			}
			l.goOn(t)
		}},
	{name: "clocks jump", options: stack.Options{Clock: true}, happen: func(t *testing.T, s *stack.Stack, l *load) {
		// That of Redis, the only one that others are compared with: so it is the instances' clocks
		// that are behind and ahead.
		for _, ahead := range []time.Duration{time.Hour, -time.Hour, 3 * time.Second, 0} {
			testkit.Must(t, s.SetClock(ahead))
			time.Sleep(long(500*time.Millisecond, 10*time.Second))
			l.goOn(t)
		}
	}},
}

// Whatever happens to Redis, to a part of it, to an instance or to the clocks: each message that
// was answered with OK reaches every client once and in order, or is told as a gap where Redis
// itself has lost it. What services and clients saw is judged by package history.
func TestChaos(t *testing.T) {
	var mu sync.Mutex
	results := map[string]summary{}
	t.Cleanup(func() { report(t, results) })
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			o := f.options
			o.Root, o.Binary, o.Instances, o.Redis = repository, binary(), 2, true
			s := stacktest.Start(t, o)
			l := startLoad(t, s)
			l.goOn(t)
			if f.loses {
				l.saw.Add(history.Record{Kind: history.Lost})
			}
			f.happen(t, s, l)
			l.goOn(t)
			records := l.end(t)
			got := summarize(records)
			got.broken = keeps(t, records)
			missesOne(t, records)
			mu.Lock()
			results[f.name] = got
			mu.Unlock()
			if clients := loadZones * zoneClients; f.all && got.gaps < clients {
				t.Errorf("%d gaps were told to %d clients", got.gaps, clients)
			}
		})
	}
}

// metaKey is the key in Redis of a zone's position.
func metaKey(zone string) string { return "zonecast:{zone:warehouse-1:" + zone + "}:meta" }

// failOver kills the master until another server has taken its place and served for a while.
func failOver(t *testing.T, l *load, master func() (*stack.Redis, error)) {
	t.Helper()
	killed, err := master()
	testkit.Must(t, err)
	testkit.Must(t, killed.Kill())
	testkit.Succeeds(t, "another server is the master", func() error {
		if now, err := master(); err != nil || now == killed {
			return fmt.Errorf("%v, %v", now, err)
		}
		return nil
	})
	l.goOn(t)
	time.Sleep(long(0, 10*time.Second))
	testkit.Must(t, killed.Start(t.Context()))
}

// freeze stops a process for a while.
func freeze(t *testing.T, p *stack.Process, d time.Duration) {
	t.Helper()
	pid := p.PID()
	testkit.Must(t, syscall.Kill(pid, syscall.SIGSTOP))
	thaw := sync.OnceFunc(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	t.Cleanup(thaw)
	time.Sleep(d)
	thaw()
}

// A load is services that publish, each message until it is accepted and with an idempotency key,
// and clients that listen.
type load struct {
	stack   *stack.Stack
	saw     history.Recorder
	zones   []string
	clients map[string][]*watcher // by zone
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu       sync.Mutex
	accepted map[string][]string // data, by zone
}

const (
	loadZones, zoneClients = 3, 4
	// loadPause is between two messages of a zone.
	loadPause = 10 * time.Millisecond
)

func startLoad(t *testing.T, s *stack.Stack) *load {
	t.Helper()
	l := &load{stack: s, clients: map[string][]*watcher{}, accepted: map[string][]string{}}
	var ctx context.Context
	ctx, l.stop = context.WithCancel(t.Context())
	for z := range loadZones {
		zone := fmt.Sprint("zone-", z)
		l.zones = append(l.zones, zone)
		for i := range zoneClients {
			l.clients[zone] = append(l.clients[zone], observe(t, &l.saw, fmt.Sprintf("client %d of %s", i, zone), zone, sockets(s, i)...))
		}
	}
	for _, zone := range l.zones {
		l.done.Go(func() { l.publish(ctx, zone, bases(s)) })
	}
	t.Cleanup(func() { l.stop(); l.done.Wait() })
	return l
}

// publish publishes one message after the other, until ctx ends; each until it is accepted, lest
// one arrives that nobody counts.
func (l *load) publish(ctx context.Context, zone string, bases []string) {
	for n := 0; ctx.Err() == nil; n++ {
		key, text := fmt.Sprint("key-", n), body(n)
		deadline := time.Now().Add(testkit.Patience)
		for try := n; time.Now().Before(deadline); try++ {
			at, err := postWithin(context.WithoutCancel(ctx), 2*time.Second, bases[try%len(bases)], zone, key, text)
			if err == nil {
				one := accepted(zone, n, key, at)
				l.saw.Add(one)
				l.mu.Lock()
				l.accepted[zone] = append(l.accepted[zone], one.Hash)
				l.mu.Unlock()
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(loadPause)
	}
}

// accepted is the record of a message that was answered with OK.
func accepted(zone string, n int, key string, at wire.Offset) history.Record {
	return history.Record{Kind: history.Publish, At: time.Now().UnixMilli(), Who: "publisher", Room: "zone:warehouse-1:" + zone,
		Event: "ZONE_UPDATE", Hash: fmt.Sprintf(`{"n":%d}`, n), Key: key, Outcome: "ok", Offset: at.String()}
}

// goOn waits until each zone has been published to for a while.
func (l *load) goOn(t *testing.T) {
	t.Helper()
	const more = 30
	want := map[string]int{}
	l.mu.Lock()
	for _, zone := range l.zones {
		want[zone] = len(l.accepted[zone]) + more
	}
	l.mu.Unlock()
	testkit.Succeeds(t, "publications are accepted", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for zone, n := range want {
			if len(l.accepted[zone]) < n {
				return fmt.Errorf("%d of %d in %s", len(l.accepted[zone]), n, zone)
			}
		}
		return nil
	})
}

// end stops publishing, waits until the clients have the last message, and returns what was seen.
func (l *load) end(t *testing.T) []history.Record {
	t.Helper()
	l.stop()
	l.done.Wait()
	for _, zone := range l.zones {
		last := l.accepted[zone][len(l.accepted[zone])-1]
		for i, w := range l.clients[zone] {
			w.wantData(t, fmt.Sprintf("client %d of %s", i, zone), last)
			w.leave()
			for _, text := range w.wrong {
				if !strings.Contains(text, `"code":"unavailable"`) { // a server that has no Redis says so
					t.Error(text)
				}
			}
		}
		// Where the first one is: the room may have got another epoch since the message was
		// accepted.
		l.saw.Add(history.Record{Kind: history.Newest, Room: "zone:warehouse-1:" + zone, Offset: l.clients[zone][0].last.String()})
	}
	for _, i := range l.stack.Instances {
		bounds(t, i, &l.saw)
	}
	return l.saw.Records()
}
