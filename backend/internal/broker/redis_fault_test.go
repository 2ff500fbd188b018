package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/broker/brokertest"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// What happens to Redis while publications go on. In every room each offset that was answered with
// OK arrives, in order, once, or a gap is told.

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
func startTraffic(t *testing.T, s *stack.Stack, n int, forks *atomic.Int64) *traffic {
	t.Helper()
	target := find(t, s)
	tr := &traffic{recorder: brokertest.NewRecorder(t), last: map[wire.Room]wire.Offset{}}
	publisher := openRedis(t, broker.RedisOptions{Target: target}, brokertest.NewRecorder(t))
	subscriber := openRedis(t, broker.RedisOptions{Target: target, OnFork: func() { forks.Add(1) }}, tr.recorder)
	var ctx context.Context
	ctx, tr.stop = context.WithCancel(t.Context())
	for range n {
		room := brokertest.Room(t)
		brokertest.Subscribe(t, subscriber, room)
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
	testkit.Eventually(t, "publications are accepted", func() bool { return tr.accepted() >= want })
}

// end stops publishing and checks that all that was accepted has arrived: all of it, or, where
// forks are allowed, with gaps told where Redis lost something.
func (tr *traffic) end(t *testing.T, forks bool) {
	t.Helper()
	tr.goOn(t, 50*len(tr.rooms))
	tr.stop()
	tr.done.Wait()
	for _, room := range tr.rooms {
		last := tr.last[room]
		testkit.Eventually(t, "the last message of "+room.String(), func() bool {
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

// failOver kills the server that owner returns, waits until it returns another one, and starts the
// killed one again, which becomes a replica.
func (tr *traffic) failOver(t *testing.T, owner func() (*stack.Redis, error)) {
	t.Helper()
	tr.goOn(t, 500)
	master, err := owner()
	testkit.Must(t, err)
	testkit.Must(t, master.Kill())
	testkit.Succeeds(t, "another server is the master", func() error {
		now, err := owner()
		if err == nil && now == master {
			err = errors.New("it is still the same")
		}
		return err
	})
	tr.goOn(t, 500)
	testkit.Must(t, master.Start(t.Context()))
	tr.goOn(t, 500)
	tr.end(t, true)
}

func TestRedisClusterFailover(t *testing.T) {
	s := startKind(t, stack.Clustered)
	tr := startTraffic(t, s, 9, new(atomic.Int64))
	tr.failOver(t, func() (*stack.Redis, error) {
		owner, _, err := s.Owner(t.Context(), "zonecast:{"+tr.rooms[0].String()+"}:meta")
		return owner, err
	})
}

func TestRedisSentinelFailover(t *testing.T) {
	s := startKind(t, stack.Watched)
	tr := startTraffic(t, s, 5, new(atomic.Int64))
	tr.failOver(t, func() (*stack.Redis, error) { return s.Master(t.Context()) })
}

// Slots move to another master, there and back, under publications. Nothing is lost, no gap is
// told.
func TestRedisClusterSlotsMove(t *testing.T) {
	s := startKind(t, stack.Clustered)
	tr := startTraffic(t, s, 4, new(atomic.Int64))
	tr.goOn(t, 200)
	for _, room := range tr.rooms {
		for range 2 {
			owner, slot, err := s.Owner(t.Context(), "zonecast:{"+room.String()+"}:meta")
			testkit.Must(t, err)
			to := s.Redises[0]
			if owner == to {
				to = s.Redises[1]
			}
			testkit.Must(t, s.MoveSlot(t.Context(), slot, owner, to))
			tr.goOn(t, 100)
		}
	}
	tr.end(t, false)
}

// A message that pub/sub dropped, with none after it to show the hole, arrives all the same.
func TestRedisSilentSubscriptionIsNotTrusted(t *testing.T) {
	url := startRedis(t).URL
	p := newPair(t, url, broker.RedisOptions{Timings: broker.RedisTimings{Reconcile: 200 * time.Millisecond}})
	p.publish(t, 1)
	p.recorder.WantExactly(p.room, 1, 1)
	p.publishUnheard(t, url, "1")
	testkit.Eventually(t, "the message that was not heard", func() bool { return len(p.recorder.Messages(p.room)) == 2 })
	p.recorder.WantExactly(p.room, 1, 2)
}

// Redis lost the newest message and gave its offset to another one, which pub/sub dropped: the
// number alone does not show it.
func TestRedisReusesAnOffsetUnheard(t *testing.T) {
	url := startRedis(t).URL
	p := newPair(t, url, broker.RedisOptions{Timings: broker.RedisTimings{Reconcile: 200 * time.Millisecond}})
	p.publish(t, 10)
	before := p.recorder.WantExactly(p.room, 1, 10)[9].Offset
	p.loseAfter(t, url, 9)
	p.publishUnheard(t, url, `"another"`)
	testkit.Eventually(t, "the message that was not heard", func() bool { return len(p.recorder.Messages(p.room)) == 11 })
	got, gaps := p.recorder.Messages(p.room)[10], p.recorder.Gaps(p.room)
	if got.Offset.N != 10 || got.Offset.Epoch == before.Epoch || len(gaps) != 1 || gaps[0].From != before {
		t.Errorf("got %s after %s and the gaps %v, want number 10 of another epoch after one gap", got.Offset, before, gaps)
	}
}

// loseAfter makes Redis lose what came after message n of the pair's room, as one does that comes
// back from an older copy.
func (p *pair) loseAfter(t *testing.T, url string, n int) {
	t.Helper()
	key := "zonecast:{" + p.room.String() + "}"
	all := p.recorder.Messages(p.room)
	command(t, url, "HSET", key+":meta", "n", n)
	for _, m := range all[n:] {
		command(t, url, "XDEL", key+":stream", fmt.Sprintf("%d-%d", m.Offset.N, m.Accepted))
	}
	command(t, url, "XSETID", key+":stream", fmt.Sprintf("%d-%d", n, all[n-1].Accepted))
}

// When Redis lost the end of a room's history that was delivered already, the room gets a new
// epoch, and what was published in its place arrives after a gap: to those who were there, whether
// their connection broke or not, and to those who come back. An instance that had nothing of what
// was lost gets nothing twice.
func TestRedisLosesItsLatestMessages(t *testing.T) {
	for name, cut := range map[string]bool{"the connection breaks": true, "the connection stays": false} {
		t.Run(name, func(t *testing.T) {
			url := startRedis(t).URL
			forks := new(atomic.Int64)
			p := newPair(t, url, broker.RedisOptions{OnFork: func() { forks.Add(1) }})
			p.publish(t, 10)
			before := p.recorder.WantExactly(p.room, 1, 10)[9].Offset
			p.loseAfter(t, url, 7)
			elsewhere := brokertest.NewRecorder(t)
			if s, err := openRedis(t, broker.RedisOptions{Target: findURL(t, url), OnFork: func() { forks.Add(1) }}, elsewhere).Subscribe(t.Context(), p.room); err != nil || s.Offset.N != 7 {
				t.Fatalf("another instance begins at %s, %v", s.Offset, err)
			}
			for range 6 { // 8 to 13, of which 8 to 10 were something else before
				if cut {
					command(t, url, "CLIENT", "KILL", "TYPE", "pubsub")
				}
				p.publish(t, 1)
			}
			for _, r := range []*brokertest.Recorder{p.recorder, elsewhere} {
				testkit.Eventually(t, "the latest message", func() bool {
					got := r.Messages(p.room)
					return len(got) > 0 && got[len(got)-1].Offset.N == 13
				})
			}
			got, gaps := p.recorder.Messages(p.room)[10:], p.recorder.Gaps(p.room)
			epoch := got[0].Offset.Epoch
			want := broker.Gap{From: before, To: wire.Offset{Epoch: epoch, N: 7}}
			if len(got) != 6 || epoch == before.Epoch || len(gaps) != 1 || gaps[0] != want || forks.Load() != 1 {
				t.Fatalf("got %d messages from %s on, the gaps %v and %d forks; want 6, one gap %v and one fork", len(got), got[0].Offset, gaps, forks.Load(), want)
			}
			seen := map[wire.Micros]bool{}
			for _, m := range elsewhere.Messages(p.room) {
				if seen[m.Accepted] {
					t.Errorf("%s was delivered twice to an instance that had nothing of what was lost", m.Offset)
				}
				seen[m.Accepted] = true
			}
			if len(seen) != 6 {
				t.Errorf("the other instance got %d messages, want 6", len(seen))
			}
			for after, n := range map[uint64]int{10: 6, 7: 6, 5: 8} {
				page, err := p.publisher.History(t.Context(), p.room, wire.Offset{Epoch: before.Epoch, N: after}, 100)
				if err != nil || page.Gap == nil || page.Gap.To != (wire.Offset{Epoch: epoch, N: min(after, 7)}) || len(page.Messages) != n {
					t.Errorf("after %d of the old epoch: %+v, %v; want %d messages after a gap to %d", after, page, err, n, min(after, 7))
				}
			}
		})
	}
}

// Redis loses what an instance read from the history of a room that it is not subscribed to: who
// asks it for what follows is told a gap.
func TestRedisLosesWhatWasReadFromTheHistory(t *testing.T) {
	url := startRedis(t).URL
	p := newPair(t, url, broker.RedisOptions{})
	p.publish(t, 10)
	before := p.recorder.WantExactly(p.room, 1, 10)[9].Offset
	if page, err := p.publisher.History(t.Context(), p.room, wire.Offset{Epoch: before.Epoch, N: 5}, 100); err != nil || len(page.Messages) != 5 {
		t.Fatalf("read %d messages, %v; want 5", len(page.Messages), err)
	}
	p.subscriber.Unsubscribe(p.room)
	p.loseAfter(t, url, 7)
	p.publish(t, 5) // 8 to 12, of which 8 to 10 were something else before
	page, err := p.publisher.History(t.Context(), p.room, before, 100)
	if err != nil || page.Gap == nil || page.Gap.To.N != 7 || len(page.Messages) != 5 {
		t.Errorf("who has %s is told of %v and gets %d messages, %v; want a gap to number 7 and five messages", before, page.Gap, len(page.Messages), err)
	}
}

// Redis lost messages, for which the room got a new epoch, and then that epoch, too: the older one
// is there again and gives its offsets once more. Who had these is told a gap.
func TestRedisLosesANewEpoch(t *testing.T) {
	url := startRedis(t).URL
	p := newPair(t, url, broker.RedisOptions{})
	p.publish(t, 10)
	first := p.recorder.WantExactly(p.room, 1, 10)[9].Offset
	p.loseAfter(t, url, 7)
	p.publish(t, 1)
	testkit.Eventually(t, "another epoch", func() bool { return len(p.recorder.Gaps(p.room)) == 1 })
	second := p.recorder.Gaps(p.room)[0].To

	key := "zonecast:{" + p.room.String() + "}"
	command(t, url, "XTRIM", key+":stream", "MINID", 9) // the message that came in place of the eighth is lost, too
	command(t, url, "HSET", key+":meta", "epoch", first.Epoch, "n", 7)
	command(t, url, "HDEL", key+":meta", "was", "fork")
	p.publish(t, 5) // 8 to 12 of the first epoch, where 8 to 10 were something else
	testkit.Eventually(t, "a third epoch", func() bool {
		got := p.recorder.Messages(p.room)
		last := got[len(got)-1].Offset
		return last.N == 12 && last.Epoch != first.Epoch && last.Epoch != second.Epoch
	})
	page, err := p.publisher.History(t.Context(), p.room, first, 100)
	if err != nil || page.Gap == nil || page.Gap.From != first {
		t.Errorf("who has %s is told %v, %v; want a gap", first, page.Gap, err)
	}
}

// Redis loses what was delivered in a room that nobody is in any more, and other messages are
// published in its place: who comes back is told a gap, at the instance where it was, or after that
// one had its connection to Redis back, at any other.
func TestRedisLosesMessagesOfARoomThatNobodyIsIn(t *testing.T) {
	for name, reconnects := range map[string]bool{"it comes back where it was": false, "it comes back elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			url := startRedis(t).URL
			forks := new(atomic.Int64)
			p := newPair(t, url, broker.RedisOptions{OnFork: func() { forks.Add(1) }})
			p.publish(t, 10)
			before := p.recorder.WantExactly(p.room, 1, 10)[9].Offset
			brokertest.Subscribe(t, p.subscriber, wire.Room{Warehouse: "another"}) // for which it needs its connection
			p.subscriber.Unsubscribe(p.room)
			p.loseAfter(t, url, 7)
			p.publish(t, 5) // 8 to 12, of which 8 to 10 were something else before
			at := broker.Broker(p.subscriber)
			if reconnects {
				command(t, url, "CLIENT", "KILL", "TYPE", "pubsub")
				testkit.Eventually(t, "the loss is noticed", func() bool { return forks.Load() == 1 })
				at = openRedis(t, broker.RedisOptions{Target: findURL(t, url)}, brokertest.NewRecorder(t))
			}
			s := brokertest.Subscribe(t, at, p.room)
			page, err := at.History(t.Context(), p.room, before, 100)
			testkit.Must(t, err)
			want := wire.Offset{Epoch: s.Offset.Epoch, N: 7}
			if s.Offset.Epoch == before.Epoch || page.Gap == nil || page.Gap.To != want || len(page.Messages) != 5 || forks.Load() != 1 {
				t.Errorf("who has %s is told of %v and gets %d messages, with %d forks; want a gap to %s, five messages and one fork",
					before, page.Gap, len(page.Messages), forks.Load(), want)
			}
		})
	}
}

// A Redis that stands further back than what was delivered has lost something, even when what was
// delivered last is not kept any more and can't be recognized.
func TestRedisStandsFurtherBack(t *testing.T) {
	url := startRedis(t).URL
	forks := new(atomic.Int64)
	p := newPair(t, url, broker.RedisOptions{Limits: broker.Limits{Age: 300 * time.Millisecond}, OnFork: func() { forks.Add(1) }})
	p.publish(t, 10)
	p.recorder.WantExactly(p.room, 1, 10)
	key := "zonecast:{" + p.room.String() + "}"
	testkit.Eventually(t, "the history is gone", func() bool { return command(t, url, "EXISTS", key+":stream") == int64(0) })
	command(t, url, "HSET", key+":meta", "n", 7)
	command(t, url, "CLIENT", "KILL", "TYPE", "pubsub")
	testkit.Eventually(t, "the gap", func() bool { return len(p.recorder.Gaps(p.room)) == 1 })
	if gap := p.recorder.Gaps(p.room)[0]; gap.To.Epoch == gap.From.Epoch || gap.To.N != 7 || forks.Load() != 1 {
		t.Errorf("told of %v, with %d forks", gap, forks.Load())
	}
	p.publish(t, 1)
	testkit.Eventually(t, "what is published then", func() bool { return len(p.recorder.Messages(p.room)) == 11 })
}

// A replica that has everything takes over without a fork, a gap or a message that comes twice.
func TestRedisSentinelFailoverWithoutLoss(t *testing.T) {
	s := startKind(t, stack.Watched)
	forks := new(atomic.Int64)
	target := find(t, s)
	p := newPairAt(t, target, broker.RedisOptions{OnFork: func() { forks.Add(1) }})
	p.publish(t, 100)
	master, err := s.Master(t.Context())
	testkit.Must(t, err)
	testkit.Eventually(t, "both replicas have everything", func() bool {
		n, err := master.Command(t.Context(), "WAIT 2 1000")
		return err == nil && n == "2"
	})
	testkit.Must(t, master.Kill())
	testkit.Succeeds(t, "publishing works again", func() error { return p.tryPublish(t.Context()) })
	p.publish(t, 20)
	p.recorder.WantExactly(p.room, 1, 121)
	if forks.Load() != 0 {
		t.Errorf("%d forks", forks.Load())
	}
}

// While a slot is on its way, before any of its keys has moved and after all have, its rooms can be
// published to, joined and resumed; keys for idempotency too, in a room that uses them.
func TestRedisClusterSlotIsOnItsWay(t *testing.T) {
	s := startKind(t, stack.Clustered)
	p := newPairAt(t, find(t, s), broker.RedisOptions{})
	keyed := func(key string) {
		t.Helper()
		if _, err := p.publisher.Publish(t.Context(), broker.Publication{Room: p.room, Event: "E", Data: []byte("1"), IdempotencyKey: key}); err != nil {
			t.Errorf("publish with the key %s: %v", key, err)
		}
		p.sent++
	}
	keyed("before")
	owner, slot, err := s.Owner(t.Context(), "zonecast:{"+p.room.String()+"}:meta")
	testkit.Must(t, err)
	to := s.Redises[0]
	if owner == to {
		to = s.Redises[1]
	}
	move, err := s.BeginMove(t.Context(), slot, owner, to)
	testkit.Must(t, err)
	use := func(when string) {
		t.Helper()
		p.publish(t, 1)
		keyed(when)
		if page, err := p.publisher.History(t.Context(), p.room, wire.Offset{}, 100); err != nil || len(page.Messages) != int(p.sent) {
			t.Errorf("%s: history has %d of %d messages, %v", when, len(page.Messages), p.sent, err)
		}
		other := brokertest.NewRecorder(t)
		b := openRedis(t, broker.RedisOptions{Target: find(t, s)}, other)
		if at, err := b.Subscribe(t.Context(), p.room); err != nil || at.Offset.N != p.sent {
			t.Errorf("%s: joining at %s, %v; want %d", when, at.Offset, err, p.sent)
		}
	}
	use("begun")
	testkit.Must(t, move.Keys(t.Context()))
	use("all keys have moved")
	testkit.Must(t, move.End(t.Context()))
	use("ended")
	p.recorder.WantExactly(p.room, 1, p.sent)
}

// A room whose last member leaves while its subscription is repaired, and that is joined again,
// gets nothing twice.
func TestRedisRepairEndsWithItsSubscription(t *testing.T) {
	url := startRedis(t).URL
	target := findURL(t, url)
	recorder := brokertest.NewRecorder(t)
	publisher, subscriber := openRedis(t, broker.RedisOptions{Target: target}, brokertest.NewRecorder(t)), openRedis(t, broker.RedisOptions{Target: target}, recorder)
	room := brokertest.Room(t)
	ctx, cancel := context.WithCancel(t.Context())
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for ctx.Err() == nil {
			_, _ = publisher.Publish(ctx, broker.Publication{Room: room, Event: "E", Data: []byte("1")})
		}
	})
	for i := range 10 { // the recorder fails the test when offsets do not rise
		testkit.Succeeds(t, "the room can be joined", func() error {
			_, err := subscriber.Subscribe(t.Context(), room)
			return err
		})
		command(t, url, "CLIENT", "KILL", "TYPE", "pubsub")
		time.Sleep(time.Duration(i) * 20 * time.Millisecond) // somewhere within the repair
		subscriber.Unsubscribe(room)
	}
	cancel()
	publishing.Wait()
}

// When the stream alone is lost, by whatever hand, the history fills again.
func TestRedisStreamIsLost(t *testing.T) {
	url := startRedis(t).URL
	p := newPair(t, url, broker.RedisOptions{Limits: broker.Limits{Bytes: 20}})
	p.publish(t, 20)
	key := "zonecast:{" + p.room.String() + "}"
	command(t, url, "DEL", key+":stream")
	p.publish(t, 15)
	if n := command(t, url, "XLEN", key+":stream"); n != int64(15) {
		t.Errorf("the history has %v of 15 messages", n)
	}
}

// What others put at the place of a room's keys, and a Redis that takes no writes, are told to the
// publisher; others go on.
func TestRedisRefuses(t *testing.T) {
	server := startRedis(t)
	p := newPair(t, server.URL, broker.RedisOptions{})
	wantCode := func(room wire.Room, want wire.ErrorCode) {
		t.Helper()
		_, err := p.publisher.Publish(t.Context(), broker.Publication{Room: room, Event: "E", Data: []byte("1"), Retain: true})
		var e *wire.Error
		if !errors.As(err, &e) || e.Code != want {
			t.Errorf("publishing to %s: %v, want %s", room, err, want)
		}
	}
	for _, key := range []string{":meta", ":stream", ":retained"} {
		strange := brokertest.Room(t)
		command(t, server.URL, "SET", "zonecast:{"+strange.String()+"}"+key, "1")
		if key != ":meta" { // else the room is new, and what is left of it goes
			command(t, server.URL, "HSET", "zonecast:{"+strange.String()+"}:meta", "epoch", "e", "n", "1", "bytes", "0", "at", "0")
		}
		wantCode(strange, wire.CodeInternal)
	}
	p.publish(t, 1)
	for _, tt := range []struct{ full, over []any }{
		{[]any{"CONFIG", "SET", "maxmemory", 1}, []any{"CONFIG", "SET", "maxmemory", 0}},
		{[]any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"}},
	} {
		command(t, server.URL, tt.full...)
		wantCode(p.room, wire.CodeUnavailable)
		testkit.Eventually(t, "health tells", func() bool { return p.publisher.Health() != nil })
		command(t, server.URL, tt.over...)
		testkit.Eventually(t, "health tells that it is over", func() bool { return p.publisher.Health() == nil })
		p.publish(t, 1)
	}
	p.recorder.WantExactly(p.room, 1, 3)
}
