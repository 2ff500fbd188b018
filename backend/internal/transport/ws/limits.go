package ws

import (
	"time"

	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
)

// byteRate is how fast the bytes of one connection may come in, given how fast frames may: a client
// that fragments forever, or sends frames that never reach a handler, is bounded too.
func (h *Handler) byteRate() limit.Rate {
	frames, most := h.Limits().Frames, float64(h.MaxFrameBytes)
	return limit.Rate{Tokens: frames.Tokens * most, Refill: frames.Refill * most}
}

// forgiven is how many refusals a client may meet: a little too fast now and then is no attack.
var forgiven = limit.Rate{Tokens: wire.RefusalsBeforeClose, Refill: wire.RefusalsForgiven}

// allowFrame spends one frame of what the connection, its user and its address may send. Otherwise
// it returns how long to wait, and ends the connection of a client that doesn't.
func (c *frameHandler) allowFrame(now time.Time) (wait time.Duration) {
	h := c.handler
	if wait = c.frames.Spend(h.Limits().Frames, 1, now); wait == 0 {
		wait = h.Allow(c.counted, c.peer.Address, 1, now)
	}
	if wait == 0 {
		return 0
	}
	h.Metrics.RefuseFrame("rate_limited")
	if c.refusals.Spend(forgiven, 1, now) > 0 {
		c.queue.Close(wire.CloseLimit, "too many frames were sent although they were refused")
	}
	return wait
}

// allowCompressed spends a frame before it is inflated, which handle then need not do. A frame that
// comes too early is inflated only as far as most frames are long, for the answer needs its id.
func (c *frameHandler) allowCompressed(op wsframe.Op, payload []byte, now time.Time) bool {
	if wait := c.allowFrame(now); wait > 0 {
		c.Received()
		p, _ := inflate(payload, refusedInflated)
		f, _ := wire.DecodeClient(p)
		c.send(wire.AppendError(nil, f.ID, f.HasID, transport.ErrRateLimited(wait)))
		return false
	}
	if op == wsframe.Text {
		c.prepaid++
	}
	return true
}

// refusedInflated is the most bytes that a refused frame is inflated to.
const refusedInflated = 1 << 10

// pong takes the answer to a ping. One that answers none counts like any other frame.
func (c *frameHandler) pong() {
	if now := time.Now(); !c.Ponged(now) {
		c.allowFrame(now)
	}
}

// ping answers a ping (RFC 6455 section 5.5.2), which counts like any other frame.
func (c *frameHandler) ping(data string) error {
	if c.queue.Code() == 0 && c.allowFrame(time.Now()) == 0 {
		c.queue.Push(outbox.NewRaw(wsframe.Append(nil, wsframe.Pong, []byte(data))))
	}
	return nil
}
