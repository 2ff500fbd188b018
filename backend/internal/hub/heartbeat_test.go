package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestHeartbeatsComeOncePerIntervalSpreadOverIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const guests, rounds, interval = 300, 4, 30 * time.Second
		h := build(t, options{beat: interval, overPipe: true})
		h.ping = outbox.NewRaw([]byte(`{"event":"ping"}` + "\n"))
		stop := h.run()
		var all []*guest
		for i := range guests {
			all = append(all, h.guest(fmt.Sprint(i)))
		}
		time.Sleep(interval / 256) // between two ticks, whatever the number of slots
		synctest.Wait()
		all[0].enter(room("a")) // being in a room changes nothing
		var perSecond []int
		for before := 0; len(perSecond) < rounds*int(interval/time.Second); {
			time.Sleep(time.Second)
			synctest.Wait()
			n := 0
			for _, g := range all {
				n += count(g, wire.EventHeartbeat)
			}
			perSecond = append(perSecond, n-before)
			before = n
		}
		for _, g := range all {
			if beats, pings := count(g, wire.EventHeartbeat), count(g, "ping"); beats != rounds || pings != rounds {
				t.Fatalf("%s got %d heartbeats and %d pings in %d intervals", g.ID, beats, pings, rounds)
			}
		}
		if most := slices.Max(perSecond); most > 2*guests/30 {
			t.Errorf("%d of %d sessions got their heartbeat in the same second of 30", most, guests)
		}
		last := all[1].seen()[2*rounds-2]
		beat := decode[wire.Heartbeat](t, last.Data)
		if ago := time.Since(time.UnixMilli(beat.Time)); beat.Connections != guests || ago < 0 || ago > interval {
			t.Errorf("the heartbeat says %+v, %v ago; want %d connections", beat, ago, guests)
		}

		for _, g := range all[guests/3:] {
			g.end()
		}
		time.Sleep(interval)
		synctest.Wait()
		for _, g := range all[guests/3:] {
			if n := count(g, wire.EventHeartbeat); n != rounds {
				t.Fatalf("%s got a heartbeat after its end", g.ID)
			}
		}
		for _, g := range all[:guests/3] {
			frames := slices.DeleteFunc(g.seen(), func(f wire.ServerFrame) bool { return f.Event != wire.EventHeartbeat })
			beat := decode[wire.Heartbeat](t, frames[len(frames)-1].Data)
			if len(frames) != rounds+1 || beat.Connections != guests/3 {
				t.Fatalf("%s got %d heartbeats, the last says %+v; want %d connections", g.ID, len(frames), beat, guests/3)
			}
		}
		stop()
		time.Sleep(2 * interval)
		synctest.Wait()
		if n := count(all[0], wire.EventHeartbeat); n != rounds+1 {
			t.Errorf("%d heartbeats, the last after the end of Run", n)
		}
	})
}

// run lets the hub beat until stop.
func (h *house) run() (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	var running sync.WaitGroup
	running.Go(func() { h.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

func count(g *guest, event string) (n int) {
	for _, f := range g.seen() {
		if f.Event == event {
			n++
		}
	}
	return n
}

// A session's first heartbeat comes within one interval, whenever it came.
func TestTheFirstHeartbeatIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval = 30 * time.Second
		h := build(t, options{beat: interval, overPipe: true})
		stop := h.run()
		for i := range 20 {
			time.Sleep(time.Duration(math.Sqrt(float64(i))*7000) * time.Millisecond)
			g := h.guest(fmt.Sprint(i))
			time.Sleep(interval)
			synctest.Wait()
			if n := count(g, wire.EventHeartbeat); n != 1 {
				t.Errorf("%s got %d heartbeats in its first interval, want 1", g.ID, n)
			}
		}
		stop()
	})
}

func TestAConnectionIsTracked(t *testing.T) {
	h := build(t, options{beat: 128 * time.Millisecond})
	h.ping = outbox.NewRaw([]byte(`{"event":"ping"}` + "\n"))
	g := h.member("g", room("a"))
	if g.Ponged(time.Now()) {
		t.Error("a pong is an answer before the first ping")
	}
	h.publish(room("a"), 3)
	g.Received()
	defer h.run()()
	eventually(t, "a ping comes", func() bool { return count(g, "ping") > 0 })
	if !g.Ponged(time.Now().Add(time.Second)) {
		t.Error("the pong answered nothing")
	}
	got := g.SessionStats()
	if got.Messages != 3 || got.Received != 1 || got.Bytes == 0 || got.QueuedBytes != 0 || got.Slow || got.Duration <= 0 ||
		got.RTT < time.Second || got.RTT > time.Minute {
		t.Errorf("got %+v", got)
	}
}

// Who waits for news hears at once that none will come, and that it will again.
func TestSessionsAreToldAtOnceThatTheBrokerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, options{beat: time.Hour, overPipe: true})
		defer h.run()()
		member, visitor := h.member("member", room("a")), h.guest("visitor")
		for i, tt := range []struct {
			health error
			want   string
		}{{errors.New("away"), wire.BrokerUnavailable}, {nil, ""}, {errors.New("away"), wire.BrokerUnavailable}} {
			h.broker.fail(tt.health)
			time.Sleep(time.Second)
			synctest.Wait()
			for _, g := range []*guest{member, visitor} {
				if n := count(g, wire.EventHeartbeat); n != i+1 {
					t.Fatalf("%s got %d heartbeats, want %d", g.ID, n, i+1)
				}
				frames := g.seen()
				if got := decode[wire.Heartbeat](t, frames[len(frames)-1].Data).Broker; got != tt.want || h.BrokerState() != tt.want {
					t.Errorf("%s is told %q, want %q", g.ID, got, tt.want)
				}
			}
		}
	})
}
