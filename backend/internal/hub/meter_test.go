package hub_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/wire"
)

// A hubMeter keeps what it is told.
type hubMeter struct {
	mu      sync.Mutex
	fanouts []int // members
	joins   []join
}

type join struct {
	resumed  bool
	replayed int
}

func (m *hubMeter) FannedOut(_, _ time.Duration, members int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fanouts = append(m.fanouts, members)
}

func (m *hubMeter) Traced(string, time.Duration, string) {}

func (m *hubMeter) Joined(_ string, resumed bool, replayed int, _ time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.joins = append(m.joins, join{resumed, replayed})
}

// Each membership is told once, with what the session was sent first: what it had missed from
// recent frames or from the history, or the retained events.
func TestTheMeterTellsFreshFromResumedMembers(t *testing.T) {
	m := new(hubMeter)
	h := build(t, options{hubMeter: m})
	h.send(broker.Publication{Room: room("a"), Event: "STATE", Retain: true})
	current := h.publish(room("a"), 300) // more than the hub bridges by itself
	at := func(n uint64) wire.Offset { return wire.Offset{Epoch: current.Epoch, N: n} }
	for _, after := range []wire.Offset{{}, at(301), at(300), at(1)} {
		g := h.guest("g")
		g.resume(room("a"), after)
		g.end()
	}
	want := []join{{false, 1}, {true, 0}, {true, 1}, {true, 300}}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Equal(m.joins, want) {
		t.Errorf("joins are %v, want %v", m.joins, want)
	}
}

func TestTheMeterTellsHowManyMembersAMessageHad(t *testing.T) {
	m := new(hubMeter)
	h := build(t, options{hubMeter: m})
	for _, name := range []string{"1", "2", "3"} {
		h.member(name, room("a"))
	}
	h.publish(room("a"), 2)
	h.publish(room("nobody"), 1)
	eventually(t, "both messages are told", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return slices.Equal(m.fanouts, []int{3, 3})
	})
}
