package hub_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// When hundreds come back at once, each with an offset of its own, the broker is asked for each
// part of the history once, not hundreds of times; and everyone gets exactly what it missed.
func TestReplaysShareTheirReads(t *testing.T) {
	const guests, missed = 400, 1000
	h := build(t, options{limits: endless})
	h.member("other", room("a"))
	last := h.publish(room("a"), missed+100)
	h.broker.on(nil, func(context.Context, wire.Room) error {
		time.Sleep(20 * time.Millisecond) // as a busy Redis does
		return nil
	})
	begin := make(chan struct{})
	var all sync.WaitGroup
	var watched []*guest
	for i := range guests {
		after := wire.Offset{Epoch: last.Epoch, N: last.N - missed + uint64(i)*7%missed}
		s := h.idle(t, fmt.Sprint("idle-", i), drain(t))
		join := func() error {
			return s.Join(t.Context(), []hub.Join{{Room: room("a"), After: after}}, silent)
		}
		if i%100 == 0 {
			g := h.guest(fmt.Sprint("guest-", i))
			watched = append(watched, g)
			join = func() error { return g.join(hub.Join{Room: room("a"), After: after}) }
		}
		all.Go(func() {
			<-begin
			if err := join(); err != nil {
				t.Error(err)
			}
		})
	}
	_, before := h.broker.calls()
	began := time.Now()
	close(begin)
	all.Wait()
	newest := int(time.Since(began) / (100 * time.Millisecond)) // the newest page is read so often at most
	if _, histories := h.broker.calls(); histories-before > guests/10+newest {
		t.Errorf("the broker was asked for history %d times by %d clients", histories-before, guests)
	}
	h.publish(room("a"), 1)
	for _, g := range watched {
		wantUnbroken(t, g.flush())
	}
	if n := h.gaps.Load(); n != 0 {
		t.Errorf("%d gaps were told although nothing was lost", n)
	}
}

// Those whose history is lost share the reads as well.
func TestThoseOfALostEpochShareTheirReads(t *testing.T) {
	const guests = 200
	h := build(t, options{limits: broker.Limits{Messages: 50}})
	h.publish(room("a"), 50)
	h.broker.on(nil, func(context.Context, wire.Room) error {
		time.Sleep(50 * time.Millisecond)
		return nil
	})
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range guests {
		s := h.idle(t, fmt.Sprint("idle-", i), drain(t))
		all.Go(func() {
			<-begin
			after := wire.Offset{Epoch: "lost", N: 900}
			if err := s.Join(t.Context(), []hub.Join{{Room: room("a"), After: after}}, silent); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	all.Wait()
	if _, histories := h.broker.calls(); histories > guests/5 {
		t.Errorf("the broker was asked for history %d times", histories)
	}
	if n := h.gaps.Load(); n != guests {
		t.Errorf("%d gaps were told to %d clients", n, guests)
	}
}

// holey is a broker whose history lacks some messages in the middle, as one does whose clock was
// wrong for a while.
type holey struct {
	*controlled
	from, to uint64 // are missing
}

func (h holey) History(ctx context.Context, room wire.Room, after wire.Offset, limit int) (broker.Page, error) {
	page, err := h.controlled.History(ctx, room, after, 1_000_000)
	if err != nil {
		return page, err
	}
	kept := slices.DeleteFunc(slices.Clone(page.Messages), func(m *broker.Message) bool { return h.from <= m.Offset.N && m.Offset.N <= h.to })
	for i := range kept {
		if i == limit || i > 0 && kept[i].Offset.N != kept[i-1].Offset.N+1 {
			kept = kept[:i] // what follows comes with the next page, after the gap
			break
		}
	}
	if page = (broker.Page{Messages: kept}); len(kept) > 0 && kept[0].Offset.N > after.N+1 {
		page.Gap = &broker.Gap{From: after, To: wire.Offset{Epoch: after.Epoch, N: kept[0].Offset.N - 1}}
	}
	return page, nil
}

// A hole within the history is a gap to those who come back before it, wherever it lies in the
// pages, and they go on after it.
func TestAHoleWithinTheHistoryIsAGap(t *testing.T) {
	for _, hole := range [][2]uint64{{251, 260}, {201, 201}, {200, 200}, {190, 210}, {399, 401}, {201, 400}} {
		t.Run(fmt.Sprint(hole), func(t *testing.T) {
			h := build(t, options{limits: endless})
			h.Use(holey{h.broker, hole[0], hole[1]})
			h.member("member", room("a")) // so that the room stays
			last := h.publish(room("a"), 600)
			for _, after := range []uint64{150, hole[0] - 2, hole[0] - 1} {
				g := h.guest(fmt.Sprint("after ", after))
				g.resume(room("a"), wire.Offset{Epoch: last.Epoch, N: after})
				h.publish(room("a"), 1)
				last.N++
				var want []string
				for n := after + 1; n <= last.N; n++ {
					switch {
					case n == hole[0]:
						want = append(want, fmt.Sprintf("gap %d-%d", hole[0]-1, hole[1]))
					case n < hole[0] || n > hole[1]:
						want = append(want, fmt.Sprint(n))
					}
				}
				wantNumbers(t, g, room("a"), want...)
			}
		})
	}
}
