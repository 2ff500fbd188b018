package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// idle opens a session whose client throws away what it reads.
func (h *house) idle(b *testing.B, name string) *hub.Session {
	server, client := tcp(b)
	s := h.Open(name, "", h.pool.NewQueue(server, lines), nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer client.Close()
		io.Copy(io.Discard, client)
	}()
	b.Cleanup(func() {
		s.Close()
		s.Queue.Hangup(wire.CloseGoingAway)
		<-done
	})
	return s
}

func BenchmarkJoinLeave(b *testing.B) {
	for _, others := range []int{0, 100} { // without others each joining subscribes, and each leaving ends that
		b.Run(fmt.Sprintf("among %d", others), func(b *testing.B) {
			h := build(b, options{})
			h.publish(room("a"), 100)
			joins := []hub.Join{{Room: room("a")}}
			silent := func([]wire.Offset) {}
			for i := range others {
				if err := h.idle(b, fmt.Sprint(i)).Join(b.Context(), joins, silent); err != nil {
					b.Fatal(err)
				}
			}
			s := h.idle(b, "s")
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Join(context.Background(), joins, silent); err != nil {
					b.Fatal(err)
				}
				if err := s.Leave(room("a")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFanout measures one publication of 128 bytes from the broker to all sockets, as fast as the sockets take them.
func BenchmarkFanout(b *testing.B) {
	for _, members := range []int{10, 1000} {
		b.Run(fmt.Sprintf("to %d", members), func(b *testing.B) {
			h := build(b, options{})
			for i := range members {
				s := h.idle(b, fmt.Sprint(i))
				if err := s.Join(b.Context(), []hub.Join{{Room: room("a")}}, func([]wire.Offset) {}); err != nil {
					b.Fatal(err)
				}
			}
			p := broker.Publication{Room: room("a"), Event: wire.EventZoneUpdate,
				Data: json.RawMessage(`"` + strings.Repeat("x", 126) + `"`)}
			b.ReportAllocs()
			for b.Loop() {
				h.send(p)
				for h.pool.Waiting() > int64(members)<<13 {
					runtime.Gosched()
				}
			}
			for h.pool.Waiting() > 0 {
				runtime.Gosched()
			}
			b.ReportMetric(float64(b.N*members)/b.Elapsed().Seconds(), "deliveries/s")
			for _, s := range h.Sessions() {
				if code := s.Queue.Code(); code != 0 {
					b.Fatalf("a member was closed with %s", code)
				}
			}
		})
	}
}
