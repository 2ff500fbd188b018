package cluster

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// pressedRooms is the channel on which instances tell one another of rooms whose members are behind.
	pressedRooms = "zonecast:pressed"
	// pressureQueue is how many rooms may wait to be told of. More are dropped: they are told of again soon.
	pressureQueue = 1024
)

// A pressure is what instances know of one another's rooms that are behind.
type pressure struct {
	holds   time.Duration // for how long what was told counts
	waiting chan wire.Room

	mu   sync.RWMutex
	told map[wire.Room]time.Time // until when
}

func newPressure(holds time.Duration) *pressure {
	return &pressure{holds: holds, waiting: make(chan wire.Room, pressureQueue), told: map[wire.Room]time.Time{}}
}

// Tell tells the other instances that the members of a room here are behind. It never blocks.
func (c *Redis) Tell(room wire.Room) {
	select {
	case c.pressure.waiting <- room:
	default:
	}
}

// Told reports whether another instance has told so a moment ago.
func (c *Redis) Told(room wire.Room) bool {
	c.pressure.mu.RLock()
	defer c.pressure.mu.RUnlock()
	return time.Now().Before(c.pressure.told[room])
}

// hearPressure reads "ID room".
func (c *Redis) hearPressure(payload string) {
	id, name, _ := strings.Cut(payload, " ")
	if id == c.id {
		return
	}
	room, err := wire.ParseRoom(name)
	if err != nil {
		c.log.Debug("a room that is behind is not readable", "error", err)
		return
	}
	c.pressure.hear(room)
}

// hear takes what another instance tells.
func (p *pressure) hear(room wire.Room) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.told) > pressureQueue { // forget what is over
		for r, until := range p.told {
			if until.Before(now) {
				delete(p.told, r)
			}
		}
	}
	p.told[room] = now.Add(p.holds)
}

// speak sends what is to be told, several rooms at once, until ctx ends.
func (c *Redis) speak(ctx context.Context) {
	for {
		var rooms []wire.Room
		select {
		case r := <-c.pressure.waiting:
			rooms = append(rooms, r)
		case <-ctx.Done():
			return
		}
		for more := true; more; {
			select {
			case r := <-c.pressure.waiting:
				rooms = append(rooms, r)
			default:
				more = false
			}
		}
		pipe := c.client.Pipeline()
		for _, r := range rooms {
			pipe.Publish(ctx, pressedRooms, c.id+" "+r.String())
		}
		if _, err := pipe.Exec(ctx); err != nil && ctx.Err() == nil {
			c.log.Debug("other instances are not told of rooms that are behind", "error", err)
		}
	}
}
