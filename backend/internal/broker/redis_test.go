package broker_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/broker/brokertest"
	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/redisconn"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// startRedis starts a real redis-server for the test, which runs beside others from here on.
func startRedis(t *testing.T) *stack.Redis { return startKind(t, stack.Single).Redis }

// startKind starts real servers of this kind.
func startKind(t *testing.T, kind stack.Kind) *stack.Stack {
	t.Helper()
	t.Parallel()
	return stacktest.Redis(t, kind)
}

// find finds what the stack's instances would be told to use.
func find(t testing.TB, s *stack.Stack) *redisconn.Target {
	t.Helper()
	target, err := redisconn.Find(t.Context(), redisconn.Options{URL: s.RedisURL, CAFile: s.RedisCAFile,
		CertFile: s.RedisCertFile, KeyFile: s.RedisKeyFile})
	testkit.Must(t, err)
	return target
}

func findURL(t testing.TB, url string) *redisconn.Target {
	t.Helper()
	return find(t, &stack.Stack{RedisURL: url})
}

// clusterSecret is what the instances of these tests sign with.
const clusterSecret = "a-secret-of-these-tests-with-32-bytes"

// openRedis opens a broker that notices soon what Redis does and signs, unless the options say
// otherwise.
func openRedis(t *testing.T, opts broker.RedisOptions, h broker.Handler) *broker.Redis {
	t.Helper()
	if opts.Timings == (broker.RedisTimings{}) {
		opts.Timings = broker.RedisTimings{Backoff: 300 * time.Millisecond, Health: 200 * time.Millisecond}
	}
	if opts.Signer == nil {
		opts.Signer = bus.New([]string{clusterSecret})
	}
	b, err := broker.OpenRedis(t.Context(), opts, h)
	testkit.Must(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

func TestRedis(t *testing.T) { holdKind(t, stack.Single) }

func TestRedisOverTLS(t *testing.T) { holdKind(t, stack.Secured) }

func TestRedisWatchedBySentinels(t *testing.T) { holdKind(t, stack.Watched) }

func TestRedisCluster(t *testing.T) { holdKind(t, stack.Clustered) }

// holdKind holds the broker to the contract on this kind of Redis.
func holdKind(t *testing.T, kind stack.Kind) {
	target := find(t, startKind(t, kind))
	if target.Clustered() != (kind == stack.Clustered) {
		t.Errorf("a cluster: %v", target.Clustered())
	}
	brokertest.Run(t, func(t *testing.T, limits broker.Limits, h broker.Handler) broker.Broker {
		return openRedis(t, broker.RedisOptions{Target: target, Limits: limits}, h)
	})
}

// A server that knows no sharded pub/sub is used with the classic one.
func TestRedisClassicPubSub(t *testing.T) {
	for name, kind := range map[string]stack.Kind{"one server": stack.Single, "a cluster": stack.Clustered} {
		t.Run(name, func(t *testing.T) {
			target := find(t, startKind(t, kind))
			target.Sharded = false
			p := newPairAt(t, target, broker.RedisOptions{})
			p.publish(t, 100)
			p.recorder.WantExactly(p.room, 1, 100)
		})
	}
}

// pair is two brokers on one Redis, as two instances have them: one publishes, the other is
// subscribed.
type pair struct {
	publisher *broker.Redis
	// subscriber is subscribed to the room, and tells recorder.
	subscriber *broker.Redis
	recorder   *brokertest.Recorder
	room       wire.Room
	sent       uint64
}

func newPair(t *testing.T, url string, opts broker.RedisOptions) *pair {
	t.Helper()
	return newPairAt(t, findURL(t, url), opts)
}

func newPairAt(t *testing.T, target *redisconn.Target, opts broker.RedisOptions) *pair {
	t.Helper()
	p := &pair{recorder: brokertest.NewRecorder(t), room: brokertest.Room(t)}
	opts.Target = target
	p.publisher = openRedis(t, broker.RedisOptions{Target: target, Prefix: opts.Prefix, Limits: opts.Limits, Timings: opts.Timings},
		brokertest.NewRecorder(t))
	p.subscriber = openRedis(t, opts, p.recorder)
	brokertest.Subscribe(t, p.subscriber, p.room)
	return p
}

// publish publishes so many messages.
func (p *pair) publish(t *testing.T, n int) {
	t.Helper()
	for range n {
		testkit.Must(t, p.tryPublish(t.Context()))
	}
}

func (p *pair) tryPublish(ctx context.Context) error {
	_, err := p.publisher.Publish(ctx, broker.Publication{Room: p.room, Event: "E", Data: []byte("1")})
	if err == nil {
		p.sent++
	}
	return err
}

// publishUnheard does what the publish script does, except that pub/sub loses the message.
func (p *pair) publishUnheard(t *testing.T, url, data string) {
	t.Helper()
	key := "zonecast:{" + p.room.String() + "}"
	command(t, url, "HSETNX", key+":meta", "epoch", command(t, url, "GET", "zonecast:life"))
	n := command(t, url, "HINCRBY", key+":meta", "n", 1)
	now := time.Now()
	command(t, url, "XADD", key+":stream", fmt.Sprintf("%v-%d", n, now.UnixMicro()), "e", "E", "d", data)
	command(t, url, "HSET", key+":meta", "at", now.UnixMilli())
	p.sent++
}

// command asks Redis directly.
func command(t *testing.T, url string, args ...any) any {
	t.Helper()
	o, err := redis.ParseURL(url)
	testkit.Must(t, err)
	client := redis.NewClient(o)
	defer client.Close()
	answer, err := client.Do(t.Context(), args...).Result()
	testkit.Must(t, err)
	return answer
}

// signal sends a signal to Redis; a stopped one goes on when the test ends.
func signal(t *testing.T, server *stack.Redis, sig syscall.Signal) {
	t.Helper()
	pid := server.PID()
	testkit.Must(t, syscall.Kill(pid, sig))
	if sig == syscall.SIGSTOP {
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	}
}

// What was published while the subscriptions were cut off is read from the stream, in order, before
// anything newer.
func TestRedisRepairsLostSubscriptions(t *testing.T) {
	url := startRedis(t).URL
	repaired, reconnected := make(chan struct{}, 1000), make(chan struct{}, 1000)
	p := newPair(t, url, broker.RedisOptions{OnRepair: func() { repaired <- struct{}{} },
		OnReconnect: func() { reconnected <- struct{}{} }})
	for round := range uint64(5) {
		p.publish(t, 50)
		command(t, url, "CLIENT", "KILL", "TYPE", "pubsub")
		p.publish(t, 50)
		p.recorder.WantExactly(p.room, 1, 100*(round+1))
	}
	if len(repaired) == 0 || len(reconnected) == 0 {
		t.Errorf("told of %d repairs and %d connections, want some of both", len(repaired), len(reconnected))
	}
}

// A message that pub/sub dropped is noticed by the number of the next one.
func TestRedisRepairsHoles(t *testing.T) {
	url := startRedis(t).URL
	p := newPair(t, url, broker.RedisOptions{})
	p.publish(t, 1)
	p.recorder.WantExactly(p.room, 1, 1)
	for round := range uint64(3) {
		p.publishUnheard(t, url, "1")
		p.publishUnheard(t, url, "1")
		p.publish(t, 1)
		p.recorder.WantExactly(p.room, 1, 1+3*(round+1))
	}
}

// What a repair reads is delivered at the pace of the room's members.
func TestRedisRepairIsPaced(t *testing.T) {
	url := startRedis(t).URL
	paced := make(chan wire.Room, 100)
	p := newPair(t, url, broker.RedisOptions{Pace: func(_ context.Context, room wire.Room) { paced <- room }})
	for range 8 {
		p.publishUnheard(t, url, strings.Repeat("1", 30<<10))
	}
	p.publish(t, 1)
	p.recorder.WantExactly(p.room, 1, 9)
	if len(paced) != 2 || <-paced != p.room {
		t.Errorf("240 KiB were delivered with %d pauses, want one after each 64 KiB", len(paced))
	}
}

// A server that is killed and comes back has what it had promised (appendfsync everysec keeps all
// but the last second; a killed process loses nothing that the kernel has).
func TestRedisAwayAndBack(t *testing.T) {
	server := startRedis(t)
	p := newPair(t, server.URL, broker.RedisOptions{})
	p.publish(t, 20)
	p.recorder.WantExactly(p.room, 1, 20)
	testkit.Must(t, server.Kill())
	err := p.tryPublish(t.Context())
	if e := wire.AsError(err); err == nil || e.Code != wire.CodeUnavailable || e.RetryAfter == 0 {
		t.Errorf("publishing while Redis is away: got %v, want unavailable with a time to try again", err)
	}
	err = p.tryPublish(t.Context()) // the connections are known to be broken by now
	if e := wire.AsError(err); err == nil || e.Code != wire.CodeUnavailable || !strings.Contains(e.Message, "nothing was done") {
		t.Errorf("publishing to nobody: got %v, want unavailable, and that nothing was done", err)
	}
	testkit.Eventually(t, "health tells that Redis is away", func() bool { return p.publisher.Health() != nil })
	testkit.Must(t, server.Start(t.Context()))
	testkit.Eventually(t, "health tells that Redis is back", func() bool { return p.publisher.Health() == nil })
	p.publish(t, 20)
	p.recorder.WantExactly(p.room, 1, 40)
}

// A Redis that hangs, with its connections open, is noticed.
func TestRedisHangs(t *testing.T) {
	server := startRedis(t)
	p := newPair(t, server.URL, broker.RedisOptions{Timings: broker.RedisTimings{Command: time.Second,
		PubSub: time.Second, Backoff: 300 * time.Millisecond, Health: 200 * time.Millisecond}})
	p.publish(t, 1)
	signal(t, server, syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := p.tryPublish(ctx); wire.AsError(err).Code != wire.CodeUnavailable || !strings.Contains(wire.AsError(err).Message, "idempotency key") {
		t.Errorf("publishing to a Redis that hangs: got %v, want unavailable, and that it may have been done", err)
	}
	testkit.Eventually(t, "health tells that Redis hangs", func() bool { return p.publisher.Health() != nil })
	signal(t, server, syscall.SIGCONT)
	testkit.Eventually(t, "publishing works again", func() bool { return p.tryPublish(t.Context()) == nil })
	// The publication that was given up may have been carried out by then, as its error said.
	got := p.recorder.Wait(p.room, p.sent)
	for i, m := range got {
		if m.Offset.N != uint64(i+1) {
			t.Fatalf("place %d holds %s", i, m.Offset)
		}
	}
}

// An emptied Redis is a new epoch: subscribers are told of the gap and hear what comes, and the log
// says it.
func TestRedisEmptied(t *testing.T) {
	url, said := startRedis(t).URL, make(lines, 100)
	p := newPair(t, url, broker.RedisOptions{Log: slog.New(slog.NewTextHandler(said, nil))})
	p.publish(t, 1)
	before := p.recorder.WantExactly(p.room, 1, 1)[0].Offset
	command(t, url, "FLUSHALL")
	p.publish(t, 1)
	testkit.Eventually(t, "the message of the new epoch", func() bool { return len(p.recorder.Messages(p.room)) == 2 })
	after := p.recorder.Messages(p.room)[1].Offset
	gaps := p.recorder.Gaps(p.room)
	if after.N != 1 || after.Epoch == before.Epoch || len(gaps) != 1 || gaps[0].From != before ||
		gaps[0].To != (wire.Offset{Epoch: after.Epoch}) {
		t.Errorf("after %s came the gaps %v and %s, want one gap from %s to %s-0 and then %s-1",
			before, gaps, after, before, after.Epoch, after.Epoch)
	}
	said.await(t, "Redis lost the history of a room")
}

func BenchmarkRedisPublish(b *testing.B) {
	url := os.Getenv("REDIS_URL")
	if url == "" {
		b.Fatal("REDIS_URL is needed: the address of a redis-server that may be written to")
	}
	r, err := broker.OpenRedis(b.Context(), broker.RedisOptions{Target: findURL(b, url)}, nil)
	testkit.Must(b, err)
	defer r.Close()
	data := fmt.Appendf(nil, `{"pad":%q}`, strings.Repeat("x", 100))
	room, err := wire.NewRoom("bench", "zone-a")
	testkit.Must(b, err)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Publish(b.Context(), broker.Publication{Room: room, Event: "E", Data: data}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// A user with the rights that docs/operations.md names can do all that is needed, on one server and
// on a cluster.
func TestRedisUserNeedsNoMoreRightsThanDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operations.md")
	testkit.Must(t, err)
	rights := regexp.MustCompile(`(?m)^\s*ACL SETUSER zonecast on >PASSWORD (.*)$`).FindSubmatch(text)
	if rights == nil {
		t.Fatal("docs/operations.md names no rights")
	}
	for name, tt := range map[string]struct {
		kind   stack.Kind
		prefix string
	}{
		"one server":     {stack.Single, "zonecast"},
		"a cluster":      {stack.Clustered, "zonecast"},
		"another prefix": {stack.Single, "staging"},
	} {
		t.Run(name, func(t *testing.T) {
			kind := tt.kind
			s := startKind(t, kind)
			for _, r := range s.Redises {
				_, err := r.Command(t.Context(), "ACL SETUSER zonecast on >secret "+
					strings.ReplaceAll(string(rights[1]), "zonecast:*", tt.prefix+":*"))
				testkit.Must(t, err)
			}
			target, err := redisconn.Find(t.Context(), redisconn.Options{Prefix: tt.prefix,
				URL: strings.Replace(s.RedisURL, "//", "//zonecast:secret@", 1)})
			testkit.Must(t, err)
			if target.Clustered() != (kind == stack.Clustered) || !target.Sharded {
				t.Errorf("found %+v", target)
			}
			p := newPairAt(t, target, broker.RedisOptions{Prefix: tt.prefix})
			_, err = p.publisher.Publish(t.Context(), broker.Publication{Room: p.room, Event: "E", Data: []byte("1"),
				Retain: true, IdempotencyKey: "k"})
			testkit.Must(t, err)
			p.sent++
			p.publish(t, 20)
			p.recorder.WantExactly(p.room, 1, 21)
			if page, err := p.publisher.History(t.Context(), p.room, wire.Offset{}, 100); err != nil || len(page.Messages) != 21 {
				t.Errorf("history: %+v, %v", page, err)
			}
			for _, remove := range []func() (bool, error){
				func() (bool, error) { return p.publisher.DeleteRetained(t.Context(), p.room, "E") },
				func() (bool, error) { return p.publisher.DeleteRoom(t.Context(), p.room) },
			} {
				if there, err := remove(); err != nil || !there {
					t.Errorf("delete: %v %v", there, err)
				}
			}
			testkit.Eventually(t, "the usage is counted", func() bool { return p.publisher.Usage()[p.room.Warehouse] == broker.Usage{} })
			testkit.Must(t, p.publisher.Health())
			c := cluster.OpenRedis(cluster.Options{Target: target, Prefix: tt.prefix, Log: slog.New(slog.DiscardHandler),
				Self:   func() cluster.Node { return cluster.Node{Name: "a"} },
				Answer: func(context.Context, cluster.Question) (any, error) { return 1, nil }})
			defer c.Close()
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { c.Run(ctx) })
			testkit.Eventually(t, "the instance announces itself", func() bool { return c.View().Incomplete == "" })
			cancel()
			running.Wait()
		})
	}
}
