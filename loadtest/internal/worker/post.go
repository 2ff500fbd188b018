//go:build linux

package worker

import (
	"bytes"

	"github.com/zonecast/zonecast/loadtest/internal/dialect"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/problem"
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
		return e, problem.New(a.Status, a.Body)
	}
	return e, nil
}

// posting is how a member sends its echoes where its connection goes one way: by POST, one after the other. An echo that is due
// before the one before it was answered waits.
type posting struct {
	exchange
	e       *echoes
	m       *member
	waiting []waitingEcho // the first is the one under way
}

// A waitingEcho is one without an answer.
type waitingEcho struct {
	number int64 // on its member
	seq    uint32
	due    uint64
}

var _ asker = (*posting)(nil)

func newPosting(e *echoes, m *member) *posting {
	p := &posting{e: e, m: m}
	p.exchange = exchange{w: e.w, user: p, target: m.target()}
	return p
}

// say sends an echo as soon as it can.
func (p *posting) say(w waitingEcho) {
	p.waiting = append(p.waiting, w)
	if len(p.waiting) == 1 {
		p.begin(swarm.Now())
	}
}

func (p *posting) request() *http1.Request {
	w, next := p.e.w, p.waiting[0]
	w.data = w.template.Append(w.data[:0], stamp.Stamp{Stream: stamp.Echo, Seq: next.seq, At: next.due})
	w.text = p.e.dialect.AppendEcho(w.text[:0], dialect.FirstID+next.number, w.data)
	return PostFrame(p.e.dialect, p.target, w.text)
}

func (p *posting) answered(a *http1.Response, err error, now uint64) {
	var e dialect.Event
	if err == nil {
		e, err = ReadPosted(p.e.dialect, a)
	}
	switch {
	case err != nil:
		p.e.failed(p.m, p.waiting[0].number, err)
	case e.Kind == dialect.Ack:
		p.e.answer(p.m, &e, now)
	default:
		p.e.refused(p.m, &e)
	}
	if p.waiting = append(p.waiting[:0], p.waiting[1:]...); len(p.waiting) > 0 {
		p.w.loop.At(now, p.begin) // not deeper and deeper, should connections fail at once
	}
}
