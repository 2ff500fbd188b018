package broker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/broker/brokertest"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// attempts are publications, each with data of its own, and what became of them.
type attempts struct {
	mu       sync.Mutex
	n        int
	accepted []string
	refused  []string
}

func (a *attempts) publish(b broker.Broker, room wire.Room) time.Duration {
	a.mu.Lock()
	a.n++
	data := fmt.Sprint(a.n)
	a.mu.Unlock()
	began := time.Now()
	_, err := b.Publish(context.Background(), broker.Publication{Room: room, Event: "E", Data: json.RawMessage(data)})
	took := time.Since(began)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.accepted = append(a.accepted, data)
	} else {
		a.refused = append(a.refused, data)
	}
	return took
}

// While Redis is known to be away, publications are refused at once; none that was refused is
// delivered once it is back.
func TestRedisAwayRefusesAtOnceAndDeliversNothingLater(t *testing.T) {
	type fault struct {
		begin, end func(*testing.T, *stack.Redis, *slowProxy)
	}
	for name, f := range map[string]fault{
		"frozen": {func(t *testing.T, r *stack.Redis, _ *slowProxy) { signal(t, r, syscall.SIGSTOP) },
			func(t *testing.T, r *stack.Redis, _ *slowProxy) { signal(t, r, syscall.SIGCONT) }},
		"dead": {func(t *testing.T, r *stack.Redis, _ *slowProxy) { testkit.Must(t, r.Kill()) },
			func(t *testing.T, r *stack.Redis, _ *slowProxy) { testkit.Must(t, r.Start(t.Context())) }},
		"far away": {func(_ *testing.T, _ *stack.Redis, p *slowProxy) { p.delay.Store(int64(4 * time.Second)) },
			func(_ *testing.T, _ *stack.Redis, p *slowProxy) { p.delay.Store(0) }},
	} {
		t.Run(name, func(t *testing.T) {
			server := startRedis(t)
			proxy := newSlowProxy(t, server.Address)
			recorder, room := brokertest.NewRecorder(t), brokertest.Room(t)
			publisher := openRedis(t, broker.RedisOptions{Target: findURL(t, "redis://"+proxy.address)}, brokertest.NewRecorder(t))
			subscriber := openRedis(t, broker.RedisOptions{Target: findURL(t, server.URL)}, recorder)
			brokertest.Subscribe(t, subscriber, room)
			all := new(attempts)
			for range 10 {
				all.publish(publisher, room)
			}
			f.begin(t, server, proxy)
			var waiting sync.WaitGroup
			for range 50 {
				waiting.Go(func() { all.publish(publisher, room) })
			}
			testkit.Eventually(t, "Redis is known to be away", publisher.PublishingSuspended)
			var took []time.Duration
			for range 50 {
				took = append(took, all.publish(publisher, room))
			}
			slices.Sort(took)
			if median, most := took[25], took[49]; median > 50*time.Millisecond || most > time.Second {
				t.Errorf("refusals took %v in the middle, %v at most; want less than 50ms", median, most)
			}
			waiting.Wait()
			if len(all.refused) < 100 {
				t.Errorf("%d of 100 publications were refused", len(all.refused))
			}
			f.end(t, server, proxy)
			testkit.Eventually(t, "Redis is back", func() bool { return publisher.Health() == nil && subscriber.Health() == nil })
			for range 10 {
				all.publish(publisher, room)
			}
			testkit.Eventually(t, "all that was accepted arrives", func() bool { return len(recorder.Messages(room)) >= len(all.accepted) })
			time.Sleep(300 * time.Millisecond) // for what should not come
			var got []string
			for _, m := range recorder.Messages(room) {
				got = append(got, string(m.Data))
			}
			slices.Sort(got)
			slices.Sort(all.accepted)
			if !slices.Equal(got, all.accepted) || len(got) < 20 {
				t.Errorf("delivered %v, accepted %v", got, all.accepted)
			}
		})
	}
}

// A slowProxy passes a connection on, and what is sent to the server late.
type slowProxy struct {
	address string
	delay   atomic.Int64 // time.Duration
}

func newSlowProxy(t *testing.T, to string) *slowProxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	p := &slowProxy{address: listener.Addr().String()}
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); listener.Close(); running.Wait() })
	running.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.pass(ctx, from, to) })
		}
	})
	return p
}

// pass passes on what the client has sent even when it has hung up meanwhile, as a network does.
func (p *slowProxy) pass(ctx context.Context, from net.Conn, address string) {
	to, err := net.Dial("tcp", address)
	if err != nil {
		from.Close()
		return
	}
	defer to.Close()
	defer from.Close()
	defer context.AfterFunc(ctx, func() { from.Close(); to.Close() })()
	go func() { _, _ = io.Copy(from, to); from.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			select {
			case <-time.After(time.Duration(p.delay.Load())):
			case <-ctx.Done():
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// A user of Redis without rights to the channels, which a new one has not, is told of by the health
// check, with the rule to add; what is published is refused, and not delivered once it is granted.
func TestRedisWithoutChannelRightsIsNotHealthy(t *testing.T) {
	server := startRedis(t)
	command(t, server.URL, "ACL", "SETUSER", "narrow", "on", ">pw", "~zonecast:*", "resetchannels", "+@all")
	target := findURL(t, "redis://narrow:pw@"+server.Address)
	recorder, room := brokertest.NewRecorder(t), brokertest.Room(t)
	b := openRedis(t, broker.RedisOptions{Target: target}, recorder)
	if err := b.Health(); err == nil || !strings.Contains(err.Error(), "ACL SETUSER narrow &zonecast:* +@pubsub") {
		t.Errorf("health says %v, want the rule that is missing", err)
	}
	all := new(attempts)
	all.publish(b, room)
	command(t, server.URL, "ACL", "SETUSER", "narrow", "&zonecast:*")
	testkit.Eventually(t, "health is well again", func() bool { return b.Health() == nil })
	brokertest.Subscribe(t, b, room)
	all.publish(b, room)
	recorder.WantExactly(room, 1, 1)
	if len(all.refused) != 1 || len(all.accepted) != 1 {
		t.Errorf("refused %v, accepted %v; want the first refused", all.refused, all.accepted)
	}
	command(t, server.URL, "ACL", "SETUSER", "narrow", "resetchannels")
	testkit.Eventually(t, "rights that are taken away are noticed", func() bool { return b.Health() != nil })
}

// Whether Redis evicts is looked at while it runs, too.
func TestRedisIsWarnedOfEvictionWhileRunning(t *testing.T) {
	server := startRedis(t)
	said := make(lines, 100)
	openRedis(t, broker.RedisOptions{Target: findURL(t, server.URL), Log: slog.New(slog.NewTextHandler(said, nil)),
		Timings: broker.RedisTimings{Health: 50 * time.Millisecond, Eviction: 50 * time.Millisecond}}, brokertest.NewRecorder(t))
	command(t, server.URL, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	command(t, server.URL, "CONFIG", "SET", "maxmemory", "100mb")
	said.await(t, "maxmemory-policy noeviction")
}

// Clocks of Redis that differ are measured, told, and taken out of what is measured with them.
func TestRedisClockIsMeasured(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, stack.Options{Redis: true, Clock: true})
	said := make(lines, 100)
	recorder, room := brokertest.NewRecorder(t), brokertest.Room(t)
	b := openRedis(t, broker.RedisOptions{Target: findURL(t, s.RedisURL), Log: slog.New(slog.NewTextHandler(said, nil)),
		Timings: broker.RedisTimings{Health: 50 * time.Millisecond}}, recorder)
	brokertest.Subscribe(t, b, room)
	const most = 400 * time.Millisecond // of what a busy machine adds
	for n, ahead := range []time.Duration{5 * time.Second, -3 * time.Second, 0} {
		testkit.Must(t, s.SetClock(ahead))
		// Publishing goes on at once, whatever deadlines say.
		if _, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: "E", Data: []byte("1")}); err != nil {
			t.Errorf("with a clock that was set by %v: %v", ahead, err)
		}
		testkit.Succeeds(t, "the offset is known", func() error {
			if got := b.ClockOffset(); (got - ahead).Abs() > most {
				return fmt.Errorf("it is %v, want %v", got, ahead)
			}
			return nil
		})
		before := time.Now()
		_, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: "E", Data: []byte("1")})
		testkit.Must(t, err)
		testkit.Eventually(t, "it arrives", func() bool { return len(recorder.Messages(room)) == 2*n+2 })
		m := recorder.Messages(room)[2*n+1]
		if at := m.Accepted.Time().Add(-m.ClockAhead()); at.Before(before.Add(-most)) || at.After(time.Now().Add(most)) {
			t.Errorf("with a clock %v ahead it was accepted %v after the publication began", ahead, at.Sub(before))
		}
		if ahead == 5*time.Second {
			said.await(t, "clocks of this machine and of Redis differ")
		}
	}
	said.await(t, "agree again")
}

// lines are what is logged; what does not fit in is dropped.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default:
	}
	return len(p), nil
}

func (l lines) await(t *testing.T, part string) {
	t.Helper()
	testkit.Eventually(t, "the log says "+part, func() bool {
		for {
			select {
			case line := <-l:
				if strings.Contains(line, part) {
					return true
				}
			default:
				return false
			}
		}
	})
}
