package hub_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

func BenchmarkJoinLeave(b *testing.B) {
	for _, others := range []int{0, 100} { // without others each joining subscribes, and each leaving ends that
		b.Run(fmt.Sprintf("among %d", others), func(b *testing.B) {
			h := build(b, options{})
			h.publish(room("a"), 100)
			joins := []hub.Join{{Room: room("a")}}
			for i := range others {
				h.idle(b, fmt.Sprint(i), drain(b), joins...)
			}
			comeAndGo(b, h, joins)
		})
	}
}

// BenchmarkJoinLeaveInManyRooms does so in a hub that holds so many other rooms, with one member
// each.
func BenchmarkJoinLeaveInManyRooms(b *testing.B) {
	for _, rooms := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("among %d rooms", rooms), func(b *testing.B) {
			comeAndGo(b, withRooms(b, rooms), []hub.Join{{Room: room("a")}})
		})
	}
}

// withRooms builds a hub that holds so many rooms, with one member each, which sit at a few
// sessions of one connection.
func withRooms(b *testing.B, rooms int) *house {
	const perSession = 200
	h := build(b, options{rooms: perSession, limits: broker.Limits{Messages: 1}})
	conn := drain(b)
	for i := 0; i < rooms; i += perSession {
		joins := make([]hub.Join, min(perSession, rooms-i))
		for k := range joins {
			joins[k].Room = room(fmt.Sprint("other-", i+k))
		}
		h.idle(b, fmt.Sprint("other-", i), conn, joins...)
	}
	return h
}

// comeAndGo joins and leaves as often as the benchmark wants.
func comeAndGo(b *testing.B, h *house, joins []hub.Join) {
	s := h.idle(b, "s", drain(b))
	b.ReportAllocs()
	for b.Loop() {
		testkit.Must(b, s.Join(context.Background(), joins, silent))
		testkit.Must(b, s.Leave(joins[0].Room))
	}
}

// BenchmarkFanout measures one publication of 128 bytes from the broker to all sockets, as fast as
// the sockets take them. Each member has a socket of its own, with a descriptor, as far as one
// process has them for both ends: 10,000 members share 5,000 sockets, two each. A member's queue
// and the system call for it are its own all the same; what is cheaper there is what the kernel
// keeps of a socket, which half as many need.
func BenchmarkFanout(b *testing.B) {
	for _, members := range []int{10, 1_000, 10_000} {
		b.Run(fmt.Sprintf("to %d", members), func(b *testing.B) { fanOut(b, build(b, options{}), members) })
	}
}

// BenchmarkFanoutInManyRooms does so to 100 members in a hub that holds so many other rooms: what
// it costs depends on the members alone.
func BenchmarkFanoutInManyRooms(b *testing.B) {
	for _, rooms := range []int{1, 100_000} {
		b.Run(fmt.Sprintf("among %d rooms", rooms), func(b *testing.B) { fanOut(b, withRooms(b, rooms), 100) })
	}
}

// fanOut publishes to so many members as often as the benchmark wants.
func fanOut(b *testing.B, h *house, members int) {
	const sockets = 5_000
	conns := make([]net.Conn, min(members, sockets))
	for i := range conns {
		conns[i] = drain(b)
	}
	for i := range members {
		s := h.idle(b, fmt.Sprint(i), conns[i%len(conns)])
		testkit.Must(b, s.Join(b.Context(), []hub.Join{{Room: room("a")}}, silent))
	}
	p := broker.Publication{Room: room("a"), Event: wire.EventZoneUpdate,
		Data: xs(126)}
	b.ReportAllocs()
	for b.Loop() {
		h.send(p)
		for h.pool.QueuedBytes() > int64(members)<<13 {
			runtime.Gosched()
		}
	}
	for h.pool.QueuedBytes() > 0 {
		runtime.Gosched()
	}
	b.ReportMetric(float64(b.N*members)/b.Elapsed().Seconds(), "deliveries/s")
	for _, s := range h.Sessions() {
		if code := s.Queue.Code(); code != 0 {
			b.Fatalf("a member was closed with %s", code)
		}
	}
}
