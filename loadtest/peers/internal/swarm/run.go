//go:build linux

package swarm

import (
	"context"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/latency"
)

// A Result is what a run came to.
type Result struct {
	// Published counts what was sent; each is then Acked, Refused by the server with a reason, or Unanswered.
	Published  uint64            `json:"published"`
	Acked      uint64            `json:"acked"`
	Refused    map[string]uint64 `json:"refused,omitempty"`
	Unanswered int               `json:"unanswered"`
	// Delivered counts messages that members received for the first time.
	Delivered uint64 `json:"delivered"`
	// Lost counts the acked messages of the swarm's whole life that members, also those that were closed, had not received
	// in the end.
	Lost       uint64 `json:"lost"`
	Duplicates uint64 `json:"duplicates"`
	// Reordered counts messages that came after later ones of their publisher.
	Reordered uint64 `json:"reordered"`
	// Damaged counts messages that differ from what was sent, or belong to another room.
	Damaged uint64 `json:"damaged"`
	// Bytes is how many bytes all connections received.
	Bytes uint64 `json:"bytes"`
	// Ended counts the connections that the server ended, by how it did.
	Ended map[string]uint64 `json:"ended,omitempty"`
	// Complaints counts the server's messages that say something is wrong, or could not be understood.
	Complaints map[string]uint64 `json:"complaints,omitempty"`
	// Elapsed is from the first publish until the last delivery.
	Elapsed time.Duration `json:"elapsedNanoseconds"`
	// Latency is from when a message was to be sent until a member had it.
	Latency latency.Summary `json:"latencyNanoseconds"`
	// Late is from when a message was to be sent until it was.
	Late latency.Summary `json:"lateNanoseconds"`
}

// begin starts counting anew; the members' numbers go on.
func (s *Swarm) begin() {
	s.tally = newTally()
	s.tally.began = s.now()
	s.tally.last = s.tally.began
}

// Steady publishes rate messages a second, evenly spaced and room by room, whether or not they are answered. It returns
// when all are delivered, at most so long after the last one as settle says.
func (s *Swarm) Steady(ctx context.Context, rate float64, d, settle time.Duration) (Result, error) {
	s.begin()
	interval := float64(time.Second) / rate
	total := int(d.Seconds() * rate)
	for k := 0; k < total; {
		due := s.tally.began + uint64(float64(k)*interval)
		now := s.now()
		if now < due {
			if err := s.step(ctx, min(tick, time.Duration(due-now))); err != nil {
				return Result{}, err
			}
			continue
		}
		s.tally.late.Lane(0).Record(time.Duration(now - due))
		r := &s.rooms[k%len(s.rooms)]
		number := r.first + k/len(s.rooms)%s.plan.Writers
		s.publish(uint16(number), due)
		s.flush(s.publishers[s.streams[number].publisher].conn)
		k++
	}
	return s.result(ctx, settle)
}

// Flood publishes as fast as the answers come, each publisher with at most window publishes unanswered. It returns when all
// are delivered, at most so long after the last one as settle says.
func (s *Swarm) Flood(ctx context.Context, window int, d, settle time.Duration) (Result, error) {
	s.begin()
	s.window = window
	defer func() { s.window = 0 }()
	const nap = 2 * time.Millisecond // how late a publisher that was told to wait may notice that it need not
	for end := s.tally.began + uint64(d); s.now() < end; {
		for i := range s.publishers {
			s.topUp(&s.publishers[i])
			s.flush(s.publishers[i].conn)
		}
		if err := s.step(ctx, nap); err != nil {
			return Result{}, err
		}
	}
	s.window = 0
	return s.result(ctx, settle)
}

// result waits for what is under way, and sums up.
func (s *Swarm) result(ctx context.Context, settle time.Duration) (Result, error) {
	const look = 10 * time.Millisecond // looking through all members is not free
	for end := s.now() + uint64(settle); s.now() < end; {
		if s.unanswered(true) == 0 && s.missing(true) == 0 {
			break
		}
		if err := s.Idle(ctx, look); err != nil {
			return Result{}, err
		}
	}
	t := &s.tally
	return Result{
		Published: t.published, Acked: t.acked, Refused: t.refused, Unanswered: s.unanswered(false),
		Delivered: t.delivered, Lost: s.missing(false), Duplicates: t.duplicates, Reordered: t.swapped, Damaged: t.damaged,
		Bytes: t.bytes, Ended: t.ended, Complaints: t.complaints,
		Elapsed: time.Duration(t.last - t.began),
		Latency: t.latency.Total(), Late: t.late.Total(),
	}, nil
}
