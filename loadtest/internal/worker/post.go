//go:build linux

package worker

import (
	"bytes"

	"github.com/zonecast/zonecast/loadtest/internal/dialect"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/swarm"
)

// PostFrame returns the request by which a client whose connection goes one way sends a frame: to the path of its transport.
func PostFrame(speech dialect.Dialect, target *swarm.Target, frame []byte) *http1.Request {
	return &http1.Request{
		Method: "POST", Target: speech.Target(target.Path, target.Query, dialect.Seat{}), ContentType: "application/json", Body: frame,
	}
}

// ReadPosted returns the frame that answers one, whose number it has; an error if the answer is none.
func ReadPosted(speech dialect.Dialect, a *http1.Response) (dialect.Event, error) {
	e, _ := speech.Next(bytes.TrimSpace(a.Body), "")
	if e.Kind != dialect.Ack && e.Kind != dialect.Refused {
		return e, failure.NewStatus(a.Status, a.Body)
	}
	return e, nil
}

// posts is how a member sends its echoes where its connection goes one way: each by a POST of its own, which waits for no other
// one, over keep-alive connections of which there are as many as were under way at once.
type posts struct {
	e    *echoes
	m    *member
	free []*post // the one that was used last is used next: it is the freshest
	all  int
}

// most is how many of one member's may be under way. Beyond it, a member stands for more clients than it is.
func (p *posts) most() int { return max(p.e.w.job.EchoPosts, 1) }

// full reports whether no more can be sent now.
func (p *posts) full() bool { return len(p.free) == 0 && p.all >= p.most() }

// say sends an echo. There must be room for it.
func (p *posts) say(number int64, seq uint32, due uint64) {
	var next *post
	if last := len(p.free) - 1; last >= 0 {
		next, p.free = p.free[last], p.free[:last]
	} else {
		p.all++
		next = &post{of: p}
		next.exchange = exchange{w: p.e.w, user: next, target: p.m.target()}
	}
	next.number, next.seq, next.due = number, seq, due
	next.begin(swarm.Now())
}

// A post is one connection of them, with the echo that is under way.
type post struct {
	exchange
	of     *posts
	number int64 // on its member
	seq    uint32
	due    uint64
}

var _ asker = (*post)(nil)

func (p *post) request() *http1.Request {
	w, e := p.w, p.of.e
	w.data = w.template.Append(w.data[:0], stamp.Stamp{Stream: stamp.Echo, Seq: p.seq, At: p.due})
	w.text = e.dialect.AppendEcho(w.text[:0], dialect.FirstID+p.number, w.data)
	return PostFrame(e.dialect, p.target, w.text)
}

func (p *post) answered(a *http1.Response, err error, now uint64) {
	e := p.of.e
	var frame dialect.Event
	if err == nil {
		frame, err = ReadPosted(e.dialect, a)
	}
	switch {
	case err != nil:
		e.failed(p.of.m, p.number, err)
	case frame.Kind == dialect.Ack:
		e.answer(p.of.m, &frame, now)
	default:
		e.refused(p.of.m, &frame)
	}
	p.of.free = append(p.of.free, p)
}
