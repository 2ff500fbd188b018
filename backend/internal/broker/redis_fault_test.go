package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/broker/brokertest"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/wire"
)

// What happens to Redis while publications go on. In every room each offset that was answered with OK arrives, in order, once,
// or a gap is told.

// traffic publishes to several rooms through one broker, while another one is subscribed to them.
type traffic struct {
	recorder *brokertest.Recorder
	rooms    []wire.Room
	stop     context.CancelFunc
	done     sync.WaitGroup

	mu   sync.Mutex
	last map[wire.Room]wire.Offset // the newest offset that was answered
	ok   int
}

// startTraffic publishes to n rooms, each message until it is accepted, with an idempotency key.
func startTraffic(t *testing.T, s *stack.Stack, n int, forks *counter) *traffic {
	t.Helper()
	target := find(t, s)
	tr := &traffic{recorder: brokertest.NewRecorder(t), last: map[wire.Room]wire.Offset{}}
	publisher := openRedis(t, broker.RedisOptions{Target: target}, brokertest.NewRecorder(t))
	subscriber := openRedis(t, broker.RedisOptions{Target: target, OnFork: forks.add}, tr.recorder)
	var ctx context.Context
	ctx, tr.stop = context.WithCancel(t.Context())
	for range n {
		room := brokertest.Room(t)
		if _, err := subscriber.Subscribe(t.Context(), room); err != nil {
			t.Fatal(err)
		}
		tr.rooms = append(tr.rooms, room)
		tr.done.Go(func() { tr.publish(ctx, publisher, room) })
	}
	t.Cleanup(func() { tr.stop(); tr.done.Wait() })
	return tr
}

func (tr *traffic) publish(ctx context.Context, b broker.Broker, room wire.Room) {
	for i := 0; ctx.Err() == nil; i++ {
		p := broker.Publication{Room: room, Event: "E", Data: fmt.Appendf(nil, "%d", i), IdempotencyKey: fmt.Sprint(i)}
		for ctx.Err() == nil {
			receipt, err := b.Publish(ctx, p)
			if err == nil {
				tr.mu.Lock()
				tr.last[room] = receipt.Offset
				tr.ok++
				tr.mu.Unlock()
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// accepted is how many publications were answered with OK.
func (tr *traffic) accepted() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.ok
}

// goOn waits until so many more were accepted.
func (tr *traffic) goOn(t *testing.T, n int) {
	t.Helper()
	want := tr.accepted() + n
	eventuallyWithin(t, 30*time.Second, "publications are accepted", func() bool { return tr.accepted() >= want })
}

// end stops publishing and checks that all that was accepted has arrived: all of it, or, where forks are allowed, with gaps
// told where Redis lost something.
func (tr *traffic) end(t *testing.T, forks bool) {
	t.Helper()
	tr.goOn(t, 50*len(tr.rooms))
	tr.stop()
	tr.done.Wait()
	for _, room := range tr.rooms {
		last := tr.last[room]
		eventuallyWithin(t, 30*time.Second, "the last message of "+room.String(), func() bool {
			got := tr.recorder.Messages(room)
			return len(got) > 0 && (got[len(got)-1].Offset == last || got[len(got)-1].Offset.N > last.N)
		})
		gaps := tr.recorder.Gaps(room)
		if !forks && len(gaps) > 0 {
			t.Errorf("%s: told of %v although nothing was lost", room, gaps)
		}
		at := wire.Offset{}
		for _, m := range tr.recorder.Messages(room) {
			switch {
			case at.IsZero(), m.Offset.Epoch == at.Epoch && m.Offset.N == at.N+1, gapTo(gaps, m.Offset):
			default:
				t.Fatalf("%s: %s after %s, and the gaps are %v", room, m.Offset, at, gaps)
			}
			at = m.Offset
		}
	}
}

// gapTo reports whether a gap ends right before the offset.
func gapTo(gaps []broker.Gap, o wire.Offset) bool {
	for _, g := range gaps {
		if g.To.Epoch == o.Epoch && g.To.N+1 == o.N {
			return true
		}
	}
	return false
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func eventuallyWithin(t *testing.T, patience time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %s", patience, what)
		}
	}
}

// The master of some rooms is killed, its replica takes over, and the old one comes back as a replica.
func TestRedisClusterFailover(t *testing.T) {
	s := startKind(t, stack.Clustered)
	tr := startTraffic(t, s, 9, new(counter))
	tr.goOn(t, 500)
	key := "zonecast:{" + tr.rooms[0].String() + "}:meta"
	master, _, err := s.Owner(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := master.Kill(); err != nil {
		t.Fatal(err)
	}
	eventuallyWithin(t, 30*time.Second, "another server holds the room", func() bool {
		owner, _, err := s.Owner(t.Context(), key)
		return err == nil && owner != master
	})
	tr.goOn(t, 500)
	if err := master.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	tr.goOn(t, 500)
	tr.end(t, true)
}

// Slots move to another master, there and back, under publications. Nothing is lost, and no gap is told.
func TestRedisClusterSlotsMove(t *testing.T) {
	s := startKind(t, stack.Clustered)
	tr := startTraffic(t, s, 4, new(counter))
	tr.goOn(t, 200)
	for _, room := range tr.rooms {
		for range 2 {
			owner, slot, err := s.Owner(t.Context(), "zonecast:{"+room.String()+"}:meta")
			if err != nil {
				t.Fatal(err)
			}
			to := s.Redises[0]
			if owner == to {
				to = s.Redises[1]
			}
			if err := s.MoveSlot(t.Context(), slot, owner, to); err != nil {
				t.Fatal(err)
			}
			tr.goOn(t, 100)
		}
	}
	tr.end(t, false)
}

// The Sentinels make a replica the master when the master is killed.
func TestRedisSentinelFailover(t *testing.T) {
	s := startKind(t, stack.Watched)
	tr := startTraffic(t, s, 5, new(counter))
	tr.goOn(t, 500)
	master, err := s.Master(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := master.Kill(); err != nil {
		t.Fatal(err)
	}
	eventuallyWithin(t, 30*time.Second, "another server is the master", func() bool {
		now, err := s.Master(t.Context())
		return err == nil && now != master
	})
	tr.goOn(t, 500)
	if err := master.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	tr.goOn(t, 500)
	tr.end(t, true)
}

// A message that pub/sub dropped, with none after it that would show the hole, arrives all the same.
func TestRedisSilentSubscriptionIsNotTrusted(t *testing.T) {
	url := startRedis(t).URL
	p := newPair(t, url, broker.RedisOptions{})
	p.publish(t)
	p.recorder.WantExactly(p.room, 1, 1)
	p.publishUnheard(t, url)
	eventuallyWithin(t, 30*time.Second, "the message that was not heard", func() bool { return len(p.recorder.Messages(p.room)) == 2 })
	p.recorder.WantExactly(p.room, 1, 2)
}

// When Redis lost the end of a room's history that was delivered already, the room gets a new epoch, and what was published in
// its place arrives after a gap: to those who were there, and to those who come back.
func TestRedisLosesItsLatestMessages(t *testing.T) {
	url := startRedis(t).URL
	forks := new(counter)
	p := newPair(t, url, broker.RedisOptions{OnFork: forks.add})
	for range 10 {
		p.publish(t)
	}
	before := p.recorder.WantExactly(p.room, 1, 10)[9].Offset
	key := "zonecast:{" + p.room.String() + "}"
	command(t, url, "HSET", key+":meta", "n", 7)
	for _, m := range p.recorder.Messages(p.room)[7:] {
		command(t, url, "XDEL", key+":stream", fmt.Sprintf("%d-%d", m.Offset.N, m.Accepted))
	}
	// The stream remembers the highest id that it had; one that comes from an older copy does not.
	command(t, url, "XSETID", key+":stream", fmt.Sprintf("7-%d", p.recorder.Messages(p.room)[6].Accepted))
	for range 5 { // 8 to 12, of which 8 to 10 were something else before; those who were there don't hear of them yet
		command(t, url, "CLIENT", "KILL", "TYPE", "pubsub")
		p.publish(t)
	}
	brokertest.Eventually(t, "the latest message", func() bool {
		got := p.recorder.Messages(p.room)
		return got[len(got)-1].Offset.N == 12
	})
	got, gaps := p.recorder.Messages(p.room)[10:], p.recorder.Gaps(p.room)
	epoch := got[0].Offset.Epoch
	want := broker.Gap{From: before, To: wire.Offset{Epoch: epoch, N: 7}}
	if len(got) != 5 || epoch == before.Epoch || len(gaps) != 1 || gaps[0] != want || forks.n != 1 {
		t.Fatalf("got %d messages from %s on, the gaps %v and %d forks; want 5, one gap %v and one fork", len(got), got[0].Offset, gaps, forks.n, want)
	}
	for after, n := range map[uint64]int{10: 5, 7: 5, 5: 7} {
		page, err := p.publisher.History(t.Context(), p.room, wire.Offset{Epoch: before.Epoch, N: after}, 100)
		if err != nil || page.Gap == nil || page.Gap.To != (wire.Offset{Epoch: epoch, N: min(after, 7)}) || len(page.Messages) != n {
			t.Errorf("after %d of the old epoch: %+v, %v; want %d messages after a gap to %d", after, page, err, n, min(after, 7))
		}
	}
}

// What others put at the place of a room's keys, and a Redis that takes no writes, are told to the publisher; others go on.
func TestRedisRefuses(t *testing.T) {
	server := startRedis(t)
	p := newPair(t, server.URL, broker.RedisOptions{})
	strange := brokertest.Room(t)
	command(t, server.URL, "SET", "zonecast:{"+strange.String()+"}:meta", "1")
	wantCode := func(room wire.Room, want wire.ErrorCode) {
		t.Helper()
		_, err := p.publisher.Publish(t.Context(), broker.Publication{Room: room, Event: "E", Data: []byte("1")})
		var e *wire.Error
		if !errors.As(err, &e) || e.Code != want {
			t.Errorf("publishing to %s: %v, want %s", room, err, want)
		}
	}
	wantCode(strange, wire.CodeInternal)
	p.publish(t)

	command(t, server.URL, "CONFIG", "SET", "maxmemory", 1)
	wantCode(p.room, wire.CodeUnavailable)
	brokertest.Eventually(t, "health tells", func() bool { return p.publisher.Health() != nil })
	command(t, server.URL, "CONFIG", "SET", "maxmemory", 0)
	brokertest.Eventually(t, "health tells that it is over", func() bool { return p.publisher.Health() == nil })
	p.publish(t)

	command(t, server.URL, "REPLICAOF", "127.0.0.1", "1")
	wantCode(p.room, wire.CodeUnavailable)
	brokertest.Eventually(t, "health tells", func() bool { return p.publisher.Health() != nil })
	command(t, server.URL, "REPLICAOF", "NO", "ONE")
	brokertest.Eventually(t, "health tells that it is over", func() bool { return p.publisher.Health() == nil })
	p.publish(t)
	p.recorder.WantExactly(p.room, 1, 3)
}
