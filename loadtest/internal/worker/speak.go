//go:build linux

package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/account"
	"github.com/zonecast/zonecast/loadtest/internal/dialect"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/swarm"
)

// speakers are clients that publish by frames, each on a connection of its own that is in no room. Each room has as many
// streams as it has writers, and each stream one speaker, so that a stream's messages are in order.
type speakers struct {
	w       *Worker
	dialect dialect.Dialect
	all     []*speaker
	streams []int // by room: whose turn it is
	took    []account.Set
	window  int // most publishes of each speaker without an answer; 0 when there is no flood
	ready   int
}

// A speaker is a client that publishes.
type speaker struct {
	s       *speakers
	conn    *swarm.Conn
	open    bool
	streams []uint32
	turn    int   // of the streams, in a flood
	lastID  int64 // of a publish
	pending map[int64]issued
	paused  uint64 // until when the server asked it to wait
	began   uint64
}

// issued is a message that has no answer yet.
type issued struct {
	stream, seq uint32
	at          uint64
}

var _ publisher = (*speakers)(nil)
var _ swarm.Handler = (*speaker)(nil)

func newSpeakers(w *Worker, speech dialect.Dialect) *speakers {
	writers := max(w.job.Publish.Writers, 1)
	s := &speakers{
		w: w, dialect: speech, streams: make([]int, len(w.job.Rooms)), took: make([]account.Set, writers*len(w.job.Rooms)),
	}
	for range w.job.Publish.Publishers {
		s.all = append(s.all, &speaker{s: s, lastID: dialect.FirstID, pending: map[int64]issued{}})
	}
	for i := range s.took {
		p := s.all[i%len(s.all)]
		p.streams = append(p.streams, uint32(i))
	}
	return s
}

// connect opens the speakers' connections.
func (s *speakers) connect(ctx context.Context) error {
	for i, p := range s.all {
		p.dial(i)
	}
	for until := swarm.Now() + uint64(patience); s.ready < len(s.all) && swarm.Now() < until; {
		if err := s.w.step(ctx, pause); err != nil {
			return err
		}
	}
	return nil
}

func (p *speaker) dial(i int) {
	w := p.s.w
	p.began = swarm.Now()
	target := w.targets[i%len(w.targets)]
	conn, err := w.loop.Dial(swarm.WebSocket, target, dialect.Seat{}, p, nil)
	if err != nil {
		p.Ended(nil, err, p.began)
		return
	}
	p.conn = conn
}

// issue publishes the next message of a room's stream.
func (s *speakers) issue(room int, due, now uint64) {
	writers := max(s.w.job.Publish.Writers, 1)
	k := s.streams[room]
	s.streams[room] = (k + 1) % writers
	stream := uint32(room*writers + k)
	p := s.all[int(stream)%len(s.all)]
	if !p.open {
		s.w.fail(errOffline)
		return
	}
	p.put(stream, due, now)
	s.w.loop.Flush(p.conn)
}

// put prepares a message. It is stamped with the time at.
func (p *speaker) put(stream uint32, at, now uint64) {
	w := p.s.w
	writers := uint32(max(w.job.Publish.Writers, 1))
	room, k := stream/writers, stream%writers
	r := &w.rooms[room]
	seq := r.sent[k]
	r.sent[k]++
	p.lastID++
	p.pending[p.lastID] = issued{stream: stream, seq: seq, at: now}
	w.data = w.template.Append(w.data[:0], stamp.Stamp{Stream: stream, Seq: seq, At: at})
	w.text = p.s.dialect.AppendPublish(w.text[:0], p.lastID, r.name, w.data)
	w.loop.Put(p.conn, w.text)
}

// topUp publishes until each speaker's window is full.
func (s *speakers) topUp(window int) {
	s.window = window
	for _, p := range s.all {
		p.topUp(swarm.Now())
	}
}

func (p *speaker) topUp(now uint64) {
	if !p.open || now < p.paused || len(p.streams) == 0 {
		return
	}
	for len(p.pending) < p.s.window {
		p.put(p.streams[p.turn], now, now)
		p.s.w.counts.Due++
		p.turn = (p.turn + 1) % len(p.streams)
	}
	p.s.w.loop.Flush(p.conn)
}

// Event implements [swarm.Handler].
func (p *speaker) Event(_ *swarm.Conn, e *dialect.Event, now uint64) {
	w := p.s.w
	switch e.Kind {
	case dialect.Ready:
		if !p.open {
			p.open = true
			p.s.ready++
		}
	case dialect.Ack, dialect.Refused:
		m, ok := p.pending[e.ID]
		if !ok {
			w.failures.AddKind("frame: answer to nothing", fmt.Sprintf("ack with the id %d", e.ID))
			return
		}
		delete(p.pending, e.ID)
		w.tallies.Sends.Record(time.Duration(now - m.at))
		if e.Kind == dialect.Ack {
			w.counts.Sent++
			p.s.took[m.stream].Add(uint64(m.seq))
		} else {
			w.counts.Failed++
			w.failures.AddKind("send: refused with "+e.Reason, reason(e.Data).Error())
			p.paused = max(p.paused, now+uint64(e.Wait))
		}
		if p.s.window > 0 {
			p.topUp(now)
		}
	case dialect.Complaint, dialect.Unreadable:
		w.failures.AddKind("publisher: "+e.Reason, string(e.Data))
	}
}

// Answer implements [swarm.Handler]; speakers make no requests.
func (p *speaker) Answer(*swarm.Conn, *http1.Response, uint64) {}

// Ended implements [swarm.Handler].
func (p *speaker) Ended(_ *swarm.Conn, why error, now uint64) {
	w := p.s.w
	if p.open {
		p.s.ready--
	}
	p.conn, p.open = nil, false
	if why == nil {
		why = errEnded
	}
	if w.over {
		return
	}
	w.failures.Add("publisher", why)
	for range p.pending {
		w.fail(errOffline)
	}
	clear(p.pending)
	if w.job.Reconnect > 0 && swarm.MayReturn(why) {
		w.loop.At(now+uint64(backoff(1)), func(uint64) {
			if !w.over {
				p.dial(slices.Index(p.s.all, p))
			}
		})
	}
}

func (s *speakers) busy() bool {
	for _, p := range s.all {
		if len(p.pending) > 0 {
			return true
		}
	}
	return false
}

func (s *speakers) giveUpWaiting() int { return 0 }

func (s *speakers) giveUp() {
	for _, p := range s.all {
		for range p.pending {
			s.w.fail(swarm.ErrTimeout)
		}
		clear(p.pending)
	}
}

func (s *speakers) accepted() []account.Set { return s.took }

func (s *speakers) close() {}
