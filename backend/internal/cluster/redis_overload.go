package cluster

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/internal/backpressure"
	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// overloadedRooms, after the prefix, is the channel on which instances announce rooms that are
	// overloaded, each as "ID room".
	overloadedRooms = ":pressed"
	// maxAnnouncements is how many may wait to be sent. More are dropped: they are repeated soon.
	maxAnnouncements = 1024
	// maxOverloaded is how many rooms of other instances are remembered as overloaded.
	maxOverloaded = 64 << 10
)

// overload is what instances know of one another's overloaded rooms.
type overload struct {
	outgoing chan wire.Room

	mu    sync.RWMutex
	until map[wire.Room]time.Time // until when what another instance announced counts
	swept time.Time               // when those that are over were last forgotten
}

var _ backpressure.Signal = (*Redis)(nil)

func newOverload() *overload {
	return &overload{outgoing: make(chan wire.Room, maxAnnouncements), until: map[wire.Room]time.Time{}}
}

// Announce implements backpressure.Signal.
func (c *Redis) Announce(room wire.Room) {
	select {
	case c.overload.outgoing <- room:
	default:
	}
}

// OverloadedUntil implements backpressure.Signal.
func (c *Redis) OverloadedUntil(room wire.Room) time.Time {
	c.overload.mu.RLock()
	defer c.overload.mu.RUnlock()
	return c.overload.until[room]
}

// receiveAnnouncement takes one of another instance, or of this one.
func (c *Redis) receiveAnnouncement(payload string) {
	id, room, err := c.openOverload(payload)
	if err != nil {
		c.refuse(bus.Overload, err)
		return
	}
	if id != c.id {
		c.overload.add(room, time.Now())
	}
}

func (o *overload) add(room wire.Room, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Sub(o.swept) > backpressure.SignalTTL {
		o.swept = now
		maps.DeleteFunc(o.until, func(_ wire.Room, until time.Time) bool { return until.Before(now) })
	}
	if _, known := o.until[room]; !known && len(o.until) >= maxOverloaded {
		return // it is announced again soon
	}
	o.until[room] = now.Add(backpressure.SignalTTL)
}

// sendAnnouncements sends what is to be announced, several rooms at once, until ctx ends.
func (c *Redis) sendAnnouncements(ctx context.Context) {
	for {
		select {
		case room := <-c.overload.outgoing:
			pipe := c.client.Pipeline()
			for more := true; more; {
				pipe.Publish(ctx, c.prefix+overloadedRooms, c.signer.Seal(bus.Overload, "", c.id+" "+room.String()))
				select {
				case room = <-c.overload.outgoing:
				default:
					more = false
				}
			}
			if _, err := pipe.Exec(ctx); err != nil && ctx.Err() == nil {
				c.log.Debug("overloaded rooms were not announced", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}
