//go:build linux

package worker

import (
	"bytes"

	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

// PostFrame returns the request that sends a frame where connections go one way, to their path.
func PostFrame(speech protocol.Codec, target *client.Target, frame []byte) *http1.Request {
	return &http1.Request{
		Method: "POST", Target: speech.Target(target.Path, target.Query, protocol.Subscription{}), ContentType: "application/json", Body: frame,
	}
}

// ReadPosted returns the frame that answers one, with its number; an error if it is none.
func ReadPosted(speech protocol.Codec, a *http1.Response) (protocol.Event, error) {
	e, _ := speech.Next(bytes.TrimSpace(a.Body), "")
	if e.Kind != protocol.Ack && e.Kind != protocol.Refused {
		return e, failure.NewStatus(a.Status, a.Body)
	}
	return e, nil
}

// echoPool is how a member sends echoes where its connection goes one way: each by a POST, which
// waits for no other one, over as many keep-alive connections as were under way at once.
type echoPool struct {
	e    *echoes
	m    *member
	free []*echoConn // the one that was used last is used next: it is the freshest
	all  int
}

// full reports whether no more can be sent: with more of them, a member stands for more clients.
func (p *echoPool) full() bool { return len(p.free) == 0 && p.all >= p.e.w.job.EchoPosts }

// send sends an echo. There must be room for it.
func (p *echoPool) send(number int64, seq uint32, due uint64) {
	var next *echoConn
	if last := len(p.free) - 1; last >= 0 {
		next, p.free = p.free[last], p.free[:last]
	} else {
		p.all++
		next = &echoConn{pool: p}
		next.httpConn = httpConn{w: p.e.w, user: next, target: p.m.target()}
	}
	next.number, next.seq, next.due = number, seq, due
	next.start(client.Now())
}

// An echoConn is one connection of them, with the echo that is under way.
type echoConn struct {
	httpConn
	pool   *echoPool
	number int64 // on its member
	seq    uint32
	due    uint64
}

var _ requester = (*echoConn)(nil)

func (p *echoConn) request() *http1.Request {
	w, e := p.w, p.pool.e
	w.data = w.template.Append(w.data[:0], stamp.Stamp{Stream: stamp.Echo, Seq: p.seq, At: p.due})
	w.text = e.codec.AppendEcho(w.text[:0], protocol.FirstID+p.number, w.data)
	return PostFrame(e.codec, p.target, w.text)
}

func (p *echoConn) handleResponse(a *http1.Response, err error, now uint64) {
	e := p.pool.e
	var frame protocol.Event
	if err == nil {
		frame, err = ReadPosted(e.codec, a)
	}
	switch {
	case err != nil:
		e.handleFailure(p.pool.m, p.number, err)
	case frame.Kind == protocol.Ack:
		e.handleAck(p.pool.m, &frame, now)
	default:
		e.handleRefused(p.pool.m, &frame)
	}
	p.pool.free = append(p.pool.free, p)
}
