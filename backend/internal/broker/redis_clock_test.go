package broker

import (
	"testing"
	"time"
)

// The offset of a clock is known to half the round trip that told it; a better measurement replaces
// it, a worse one does not, unless it can't be true with it: then the clock was set.
func TestServerClock(t *testing.T) {
	var c serverClock
	now := time.Unix(1e9, 0)
	for _, step := range []struct {
		name            string
		giveAhead, trip time.Duration // of the server's clock; of the request and its answer
		early           bool          // the server reads it as it sends the answer, not as it gets the request
		want, within    time.Duration
	}{
		{"the first", 5 * time.Second, 100 * time.Millisecond, false, 5 * time.Second, 50 * time.Millisecond},
		{"a better one", 5 * time.Second, 2 * time.Millisecond, true, 5 * time.Second, time.Millisecond},
		{"a worse one", 5 * time.Second, 400 * time.Millisecond, true, 5 * time.Second, time.Millisecond},
		{"set back", -3 * time.Second, 4 * time.Millisecond, false, -3 * time.Second, 2 * time.Millisecond},
		{"set right, seen badly", 0, time.Second, true, 0, 500 * time.Millisecond},
		{"seen well again", 0, 2 * time.Millisecond, false, 0, time.Millisecond},
	} {
		told := now.Add(step.giveAhead)
		if step.early {
			told = told.Add(step.trip)
		}
		c.take(now, told, now.Add(step.trip))
		now = now.Add(time.Second)
		if got := c.ahead(); (got - step.want).Abs() > step.within {
			t.Errorf("%s: %v ahead, want %v within %v", step.name, got, step.want, step.within)
		}
	}
}
