package hub_test

import (
	"context"
	"sync"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// controlled is the memory broker with hooks before its calls and a tap between it and the hub. It
// fails the test when the hub subscribes to a room twice, or unsubscribes from one that it is not
// subscribed to.
type controlled struct {
	*broker.Memory
	t   testing.TB
	tap *tap

	mu         sync.Mutex
	rooms      map[wire.Room]string // "subscribing" or "subscribed"
	subscribes int
	histories  int
	health     error // in place of the broker's
	// Set before use; an error takes the place of the broker's answer.
	beforeSubscribe func(ctx context.Context, room wire.Room) error
	beforeHistory   func(ctx context.Context, room wire.Room) error
}

func newControlled(t testing.TB, limits broker.Limits, h *hub.Hub) *controlled {
	c := &controlled{t: t, tap: &tap{hub: h}, rooms: map[wire.Room]string{}}
	c.Memory = broker.NewMemory(limits, c.tap)
	return c
}

func (c *controlled) Health() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.health
}

// fail makes the broker say that it is away, or with nil that it is back.
func (c *controlled) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.health = err
}

func (c *controlled) become(room wire.Room, from, to string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if is := c.rooms[room]; is != from {
		c.t.Errorf("%s: becomes %q from %q while it is %q", room, to, from, is)
	}
	if to == "" {
		delete(c.rooms, room)
		return
	}
	c.rooms[room] = to
}

func (c *controlled) Subscribe(ctx context.Context, room wire.Room) (broker.Snapshot, error) {
	c.become(room, "", "subscribing")
	c.mu.Lock()
	c.subscribes++
	before := c.beforeSubscribe
	c.mu.Unlock()
	if before != nil {
		if err := before(ctx, room); err != nil {
			c.become(room, "subscribing", "")
			return broker.Snapshot{}, err
		}
	}
	s, err := c.Memory.Subscribe(ctx, room)
	c.become(room, "subscribing", "subscribed")
	return s, err
}

func (c *controlled) Unsubscribe(room wire.Room) {
	c.become(room, "subscribed", "unsubscribing")
	c.Memory.Unsubscribe(room)
	c.become(room, "unsubscribing", "")
}

func (c *controlled) History(ctx context.Context, room wire.Room, after wire.Offset, limit int) (broker.Page, error) {
	c.mu.Lock()
	c.histories++
	before := c.beforeHistory
	c.mu.Unlock()
	if before != nil {
		if err := before(ctx, room); err != nil {
			return broker.Page{}, err
		}
	}
	return c.Memory.History(ctx, room, after, limit)
}

// on sets the hooks.
func (c *controlled) on(subscribe, history func(ctx context.Context, room wire.Room) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beforeSubscribe, c.beforeHistory = subscribe, history
}

func (c *controlled) subscribed() (rooms []wire.Room) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := range c.rooms {
		rooms = append(rooms, r)
	}
	return rooms
}

func (c *controlled) calls() (subscribes, histories int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subscribes, c.histories
}

// A tap hands on what the broker delivers; while it is shut, it keeps it, as a network does that is
// late.
type tap struct {
	hub *hub.Hub

	mu   sync.Mutex
	shut bool
	kept []*broker.Message
}

func (p *tap) Message(m *broker.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		p.kept = append(p.kept, m)
		return
	}
	p.hub.Message(m)
}

func (p *tap) Gap(room wire.Room, gap broker.Gap, retained []*broker.Message) {
	p.hub.Gap(room, gap, retained)
}

func (p *tap) Retained(room wire.Room, s broker.Snapshot) { p.hub.Retained(room, s) }

func (p *tap) turnOff() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
}

func (p *tap) turnOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = false
	for _, m := range p.kept {
		p.hub.Message(m)
	}
	p.kept = nil
}
