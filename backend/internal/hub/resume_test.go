package hub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestResumeBringsExactlyWhatWasMissed(t *testing.T) {
	h := build(t, options{limits: broker.Limits{Messages: 5}})
	h.send(broker.Publication{Room: room("a"), Event: "STATE", Retain: true})
	current := h.publish(room("a"), 11) // 12 messages, of which 8 to 12 are kept
	at := func(n uint64) wire.Offset { return wire.Offset{Epoch: current.Epoch, N: n} }
	stranger := func(n uint64) wire.Offset { return wire.Offset{Epoch: "stranger", N: n} }
	kept := []string{"8", "9", "10", "11", "12"}
	for _, tt := range []struct {
		name  string
		after wire.Offset
		want  []string
	}{
		{name: "nothing missed", after: at(12)},
		{name: "two missed", after: at(10), want: kept[3:]},
		{name: "all that is kept", after: at(7), want: kept},
		{name: "one more than is kept", after: at(6), want: append([]string{"gap 6-7"}, kept...)},
		{name: "everything missed", after: at(0), want: append([]string{"gap 0-7"}, kept...)},
		{name: "another epoch", after: stranger(9), want: append([]string{"gap 9-7"}, kept...)},
		{name: "the future", after: at(15), want: []string{"gap 15-12"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			gaps := h.gaps.Load()
			g := h.guest("g")
			defer g.end()
			g.resume(room("a"), tt.after)
			wantNumbers(t, g, room("a"), tt.want...)
			wantUnbroken(t, g.seen())
			wantGaps := int64(0)
			if len(tt.want) > 0 && strings.HasPrefix(tt.want[0], "gap") {
				wantGaps = 1
			}
			if got := h.gaps.Load() - gaps; got != wantGaps {
				t.Errorf("%d gaps were counted, want %d", got, wantGaps)
			}
		})
	}
}

func TestResumeAmongOtherMembersGoesOnLive(t *testing.T) {
	const n = 300 // more than the hub bridges by itself
	h := build(t, options{})
	other := h.member("other", room("a"))
	current := h.publish(room("a"), n)
	for _, missed := range []uint64{0, 1, 63, 64, 65, 200, n} {
		g := h.guest(fmt.Sprint("missed-", missed))
		after := wire.Offset{Epoch: current.Epoch, N: current.N - missed}
		g.resume(room("a"), after)
		h.publish(room("a"), 1)
		current.N++
		if got := wantUnbroken(t, g.flush())[room("a").String()]; got != int(missed)+1 {
			t.Errorf("%s got %d messages", g.ID, got)
		}
	}
	wantUnbroken(t, other.flush())
}

func TestResumeUnderFullRateHasNoHoleAndNoDuplicate(t *testing.T) {
	const guests, rounds = 8, 15
	h := build(t, options{limits: endless})
	stop := h.flood(room("a"), 2)
	var all sync.WaitGroup
	for i := range guests {
		g := h.guest(fmt.Sprint("guest-", i))
		all.Go(func() {
			var after wire.Offset
			for range rounds {
				if err := g.join(hub.Join{Room: room("a"), After: after}); err != nil {
					t.Error(err)
					return
				}
				before := g.got()
				eventually(t, "messages come", func() bool { return g.got() > before+20 })
				g.exit(room("a"))
				frames := g.flush()
				last := frames[len(frames)-2] // before the frame "left"
				after, _ = wire.ParseOffset(last.Offset)
				time.Sleep(time.Duration(i) * time.Millisecond) // away for a moment
			}
			wantUnbroken(t, g.flush())
		})
	}
	all.Wait()
	stop()
	if n := h.gaps.Load(); n != 0 {
		t.Errorf("%d gaps were told although nothing was lost", n)
	}
}

func TestResumeOfSeveralRoomsAtOnce(t *testing.T) {
	h := build(t, options{})
	a, b := h.publish(room("a"), 10), h.publish(room("b"), 10)
	a.N, b.N = 7, 9
	g := h.guest("g")
	g.mustJoin(hub.Join{Room: room("a"), After: a}, hub.Join{Room: room("c")}, hub.Join{Room: room("b"), After: b})
	h.publish(room("b"), 1)
	wantNumbers(t, g, room("a"), "8", "9", "10")
	wantNumbers(t, g, room("b"), "10", "11")
	wantUnbroken(t, g.seen())
}

// A replay that is larger than a queue waits for the client instead of throwing it out as slow.
func TestAReplayWaitsForItsClient(t *testing.T) {
	const n = 1000
	h := build(t, options{bytes: 32 << 10, overPipe: true, limits: endless})
	data := xs(1000)
	var last wire.Offset
	for range n {
		last = h.send(broker.Publication{Room: room("a"), Data: data})
	}
	g := h.sleeper("g")
	done := make(chan error)
	go func() { done <- g.join(hub.Join{Room: room("a"), After: wire.Offset{Epoch: last.Epoch}}) }()
	eventually(t, "the replay begins", func() bool { return g.Queue.Stats().QueuedBytes > 4<<10 || g.Queue.Code() != 0 })
	g.wake()
	if err := <-done; err != nil || g.Queue.Code() != 0 {
		t.Fatalf("joining: %v, closed with %s", err, g.Queue.Code())
	}
	if got := wantUnbroken(t, g.flush())[room("a").String()]; got != n {
		t.Errorf("%d messages, want %d", got, n)
	}
}

func TestAReplayEndsWithItsContext(t *testing.T) {
	h := build(t, options{bytes: 128 << 10, overPipe: true})
	data := xs(100)
	var last wire.Offset
	for range 1000 {
		last = h.send(broker.Publication{Room: room("a"), Data: data})
	}
	g := h.sleeper("g")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- g.joinThen(ctx, nil, hub.Join{Room: room("a"), After: wire.Offset{Epoch: last.Epoch}}) }()
	eventually(t, "the replay begins", func() bool { return g.Queue.Stats().QueuedBytes > 16<<10 })
	cancel()
	if err := <-done; err == nil || wire.AsError(err).Code != wire.CodeUnavailable {
		t.Errorf("joining: %v, want the code %s", err, wire.CodeUnavailable)
	}
	g.wantNowhere(h)
}

func TestFailedHistoryLeavesNothing(t *testing.T) {
	h := build(t, options{})
	after := h.publish(room("a"), 3)
	after.N = 1
	h.broker.on(nil, func(context.Context, wire.Room) error { return errBroker })
	g := h.guest("g")
	if err := g.join(hub.Join{Room: room("a"), After: after}, hub.Join{Room: room("b")}); !errors.Is(err, errBroker) {
		t.Errorf("joining: %v, want the broker's error", err)
	}
	if h.Rooms() != len(g.Rooms()) {
		t.Errorf("%d rooms, the session in %v", h.Rooms(), g.Rooms())
	}
	h.broker.on(nil, nil)
	g.resume(room("a"), after)
	wantNumbers(t, g, room("a"), "2", "3")
}

// With several instances a client may come back with an offset that has not reached this one yet.
// It waits for that without keeping the broker busy.
func TestResumeAheadOfTheHubWaits(t *testing.T) {
	h := build(t, options{})
	other := h.member("other", room("a"))
	h.publish(room("a"), 1)
	h.broker.tap.turnOff()
	after := h.publish(room("a"), 3)
	time.AfterFunc(30*time.Millisecond, h.broker.tap.turnOn)
	g := h.guest("g")
	g.resume(room("a"), after)
	h.publish(room("a"), 1)
	wantNumbers(t, g, room("a"), "5")
	wantNumbers(t, other, room("a"), "1", "2", "3", "4", "5")
	if _, histories := h.broker.calls(); histories > 100 {
		t.Errorf("the broker was asked for history %d times in 30 ms", histories)
	}
}
