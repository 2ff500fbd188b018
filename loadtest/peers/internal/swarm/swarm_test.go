//go:build linux

package swarm

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/zonecast/zonecast/loadtest/peers/internal/dialect"
	"github.com/zonecast/zonecast/loadtest/peers/internal/payload"
)

const (
	testBytes  = 128
	testSettle = time.Second // a fake answers at once: what has not come by then is lost
)

func testPlan(t *testing.T, addr netip.AddrPort) Plan {
	t.Helper()
	template, err := payload.New(testBytes)
	if err != nil {
		t.Fatal(err)
	}
	return Plan{Addr: addr, Dialect: dialect.Zonecast{Size: testBytes}, Template: template, Members: 20, Rooms: 2, Publishers: 2, Writers: 1}
}

func connect(t *testing.T, plan Plan) *Swarm {
	t.Helper()
	s, took, err := Connect(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if s.Ready() != plan.Members+plan.Publishers || took <= 0 {
		t.Fatalf("%d connections are ready after %v", s.Ready(), took)
	}
	return s
}

// Each of 40 messages goes to one of two rooms of ten members.
func TestSteadyCountsExactly(t *testing.T) {
	type counts struct {
		acked, delivered, lost, duplicates, reordered, damaged uint64
		unanswered                                             int
		refused, ended                                         string
	}
	for _, tt := range []struct {
		name    string
		give    faults
		deflate bool
		want    counts
	}{
		{"good", faults{}, false, counts{acked: 40, delivered: 400}},
		{"good and deflated", faults{}, true, counts{acked: 40, delivered: 400}},
		{"one lost", faults{drop: 3}, false, counts{acked: 40, delivered: 399, lost: 1}},
		{"the last one lost", faults{drop: 39}, false, counts{acked: 40, delivered: 399, lost: 1}},
		{"one twice", faults{double: 3}, false, counts{acked: 40, delivered: 400, duplicates: 1}},
		{"one late", faults{swap: 3}, false, counts{acked: 40, delivered: 400, reordered: 1}},
		{"one damaged", faults{damage: 3}, false, counts{acked: 40, delivered: 399, lost: 1, damaged: 1}},
		{"one refused", faults{refuse: 3}, false, counts{acked: 39, delivered: 390, refused: "rate_limited"}},
		{"one not answered", faults{ignore: 3}, false, counts{acked: 39, delivered: 390, unanswered: 1}},
		{"one member closed", faults{end: 31}, false,
			counts{acked: 40, delivered: 395, lost: 5, ended: "closed with 4408 slow consumer"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := testPlan(t, startFake(t, &fake{faults: tt.give, deflate: tt.deflate}))
			plan.Deflate = tt.deflate
			s := connect(t, plan)
			r, err := s.Steady(t.Context(), 400, 100*time.Millisecond, testSettle)
			if err != nil {
				t.Fatal(err)
			}
			got := counts{acked: r.Acked, delivered: r.Delivered, lost: r.Lost, duplicates: r.Duplicates, reordered: r.Reordered,
				damaged: r.Damaged, unanswered: r.Unanswered, refused: only(t, r.Refused), ended: only(t, r.Ended)}
			if got != tt.want || r.Published != 40 || len(r.Complaints) > 0 {
				t.Errorf("published %d, complaints %v\n got %+v\nwant %+v", r.Published, r.Complaints, got, tt.want)
			}
			if r.Latency.Count != r.Delivered || r.Late.Count != r.Published || r.Elapsed < 90*time.Millisecond {
				t.Errorf("%d latencies, %d times of sending, %v", r.Latency.Count, r.Late.Count, r.Elapsed)
			}
		})
	}
}

// only returns the one reason there is, "" if there is none.
func only(t *testing.T, reasons map[string]uint64) (reason string) {
	t.Helper()
	if len(reasons) > 1 {
		t.Errorf("several reasons: %v", reasons)
	}
	for reason = range reasons {
	}
	return reason
}

func TestFloodDeliversAllThatWasAcked(t *testing.T) {
	plan := testPlan(t, startFake(t, &fake{faults: faults{refuse: 100}}))
	plan.Rooms, plan.Publishers, plan.Writers = 1, 4, 4
	s := connect(t, plan)
	for round := range uint64(2) {
		r, err := s.Flood(t.Context(), 8, 200*time.Millisecond, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if r.Published < 200 || r.Acked != r.Published-(1-round) || r.Delivered != r.Acked*uint64(plan.Members) ||
			r.Lost+r.Duplicates+r.Reordered+r.Damaged != 0 || r.Unanswered != 0 {
			t.Errorf("round %d: %+v", round, r)
		}
	}
}

func TestConnectFails(t *testing.T) {
	good := startFake(t, &fake{})
	for _, tt := range []struct {
		name   string
		change func(*Plan)
		want   string
	}{
		{"nobody listens", func(p *Plan) { p.Addr = netip.MustParseAddrPort("127.0.0.1:1") }, "connection refused"},
		{"no deflate", func(p *Plan) { p.Deflate = true }, "does not deflate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := testPlan(t, good)
			tt.change(&plan)
			if _, _, err := Connect(t.Context(), plan); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not say %q", err, tt.want)
			}
		})
	}
}

func TestItEndsWhenTold(t *testing.T) {
	s := connect(t, testPlan(t, startFake(t, &fake{})))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := s.Steady(ctx, 1, time.Hour, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAMemberIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size > 512 {
		t.Errorf("a connection has %d bytes before its buffers", size)
	}
}

func TestFill(t *testing.T) {
	c := conn{holes: []hole{{stream: 1, from: 5, to: 10}}}
	for _, tt := range []struct {
		stream int
		seq    uint32
		want   bool
	}{{0, 7, false}, {1, 4, false}, {1, 10, false}, {1, 7, true}, {1, 7, false}, {1, 5, true}, {1, 9, true}, {1, 6, true}, {1, 8, true}} {
		if got := c.fill(tt.stream, tt.seq); got != tt.want {
			t.Errorf("fill(%d, %d) = %v, want %v; holes %v", tt.stream, tt.seq, got, tt.want, c.holes)
		}
	}
	if len(c.holes) > 0 {
		t.Errorf("holes are left: %v", c.holes)
	}
}

func TestAccepted(t *testing.T) {
	absent := []uint32{3, 5, 6, 20}
	for _, tt := range []struct {
		from, to uint32
		want     uint64
	}{{0, 3, 3}, {0, 4, 3}, {3, 7, 1}, {7, 20, 13}, {7, 21, 13}, {9, 9, 0}} {
		if got := accepted(absent, tt.from, tt.to); got != tt.want {
			t.Errorf("from %d to %d: %d accepted, want %d", tt.from, tt.to, got, tt.want)
		}
	}
}
