//go:build linux

package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/delivery"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

// wsPublisher are clients that publish by frames, each on a connection that is in no room. Each
// room has a stream for each writer, and each stream one client, which keeps it in order.
type wsPublisher struct {
	w       *Worker
	codec   protocol.Codec
	all     []*wsPublisherConn
	streams []int // by room: whose turn it is
	acked   []delivery.Set
	window  int // most publishes of each publishing client without an answer; 0 when there is no flood
	ready   int
}

type wsPublisherConn struct {
	publisher   *wsPublisher
	conn        *client.Conn
	open        bool
	streams     []uint32
	turn        int   // of the streams, in a flood
	lastID      int64 // of a publish
	pending     map[int64]pendingPublish
	pausedUntil uint64 // until when the server asked it to wait
}

type pendingPublish struct {
	stream, seq uint32
	at          uint64
}

var _ publisher = (*wsPublisher)(nil)
var _ client.Handler = (*wsPublisherConn)(nil)

func newWSPublisher(w *Worker, speech protocol.Codec) *wsPublisher {
	s := &wsPublisher{
		w: w, codec: speech, streams: make([]int, len(w.job.Rooms)),
		acked: make([]delivery.Set, w.job.Publish.Writers*len(w.job.Rooms)),
	}
	for range w.job.Publish.Publishers {
		s.all = append(s.all, &wsPublisherConn{publisher: s, lastID: protocol.FirstID, pending: map[int64]pendingPublish{}})
	}
	for i := range s.acked {
		p := s.all[i%len(s.all)]
		p.streams = append(p.streams, uint32(i))
	}
	return s
}

func (s *wsPublisher) connect(ctx context.Context) error {
	for i, p := range s.all {
		p.dial(i)
	}
	for until := client.Now() + uint64(joinTimeout); s.ready < len(s.all) && client.Now() < until; {
		if err := s.w.pollCtx(ctx, pollInterval); err != nil {
			return err
		}
	}
	return nil
}

func (p *wsPublisherConn) dial(i int) {
	w := p.publisher.w
	target := w.targets[i%len(w.targets)]
	conn, err := w.loop.Dial(client.WebSocket, target, protocol.Subscription{}, p)
	if err != nil {
		p.Closed(nil, err, client.Now())
		return
	}
	p.conn = conn
}

func (s *wsPublisher) publish(room int, due, now uint64) {
	writers := s.w.job.Publish.Writers
	k := s.streams[room]
	s.streams[room] = (k + 1) % writers
	stream := uint32(room*writers + k)
	p := s.all[int(stream)%len(s.all)]
	if !p.open {
		s.w.fail(errOffline)
		return
	}
	p.queuePublish(stream, due, now)
	s.w.loop.Flush(p.conn)
}

// queuePublish prepares a message. It is stamped with the time at.
func (p *wsPublisherConn) queuePublish(stream uint32, at, now uint64) {
	w := p.publisher.w
	writers := uint32(w.job.Publish.Writers)
	room, k := stream/writers, stream%writers
	r := &w.rooms[room]
	seq := r.sent[k]
	r.sent[k]++
	p.lastID++
	p.pending[p.lastID] = pendingPublish{stream: stream, seq: seq, at: now}
	w.data = w.template.Append(w.data[:0], stamp.Stamp{Stream: stream, Seq: seq, At: at})
	w.text = p.publisher.codec.AppendPublish(w.text[:0], p.lastID, r.name, w.data)
	w.loop.Queue(p.conn, w.text)
}

// room is the name of the room of a stream.
func (p *wsPublisherConn) room(stream uint32) string {
	w := p.publisher.w
	return w.rooms[stream/uint32(w.job.Publish.Writers)].name
}

// position reads the offset of an answer to a publication, "" if it has none.
func position(answer []byte) string {
	var at wire.Position
	_ = json.Unmarshal(answer, &at) // what has none is not JSON for others than Zonecast
	return at.Offset
}

func (s *wsPublisher) fillWindows(window int) {
	s.window = window
	for _, p := range s.all {
		p.fillWindow(client.Now())
	}
}

func (p *wsPublisherConn) fillWindow(now uint64) {
	if !p.open || now < p.pausedUntil || len(p.streams) == 0 {
		return
	}
	for len(p.pending) < p.publisher.window {
		p.queuePublish(p.streams[p.turn], now, now)
		p.publisher.w.counts.Due++
		p.turn = (p.turn + 1) % len(p.streams)
	}
	p.publisher.w.loop.Flush(p.conn)
}

func (p *wsPublisherConn) Event(_ *client.Conn, e *protocol.Event, now uint64) {
	w := p.publisher.w
	switch e.Kind {
	case protocol.Ready:
		if !p.open {
			p.open = true
			p.publisher.ready++
		}
	case protocol.Ack, protocol.Refused:
		m, ok := p.pending[e.ID]
		if !ok {
			w.failures.AddKind("frame: ack without a request", fmt.Sprintf("ack with the id %d", e.ID))
			return
		}
		delete(p.pending, e.ID)
		w.tallies.Sends.Record(time.Duration(now - m.at))
		if e.Kind == protocol.Ack {
			w.counts.Sent++
			p.publisher.acked[m.stream].Add(uint64(m.seq))
			if w.history != nil {
				w.history.published(p.room(m.stream), m.stream, m.seq, position(e.Data))
			}
		} else {
			w.counts.Failed++
			w.failures.AddKind("send: refused with "+e.Reason, serverError(e.Data).Error())
			p.pausedUntil = max(p.pausedUntil, now+uint64(e.RetryAfter))
		}
		if p.publisher.window > 0 {
			p.fillWindow(now)
		}
	case protocol.ServerError, protocol.Malformed:
		w.failures.AddKind("publisher: "+e.Reason, string(e.Data))
	}
}

// Response implements [client.Handler]; publishing clients make no requests.
func (p *wsPublisherConn) Response(*client.Conn, *http1.Response, uint64) {}

func (p *wsPublisherConn) Closed(_ *client.Conn, why error, now uint64) {
	w := p.publisher.w
	if p.open {
		p.publisher.ready--
	}
	p.conn, p.open = nil, false
	if w.closed {
		return
	}
	w.failures.Add("publisher", why)
	for range p.pending {
		w.fail(errOffline)
	}
	clear(p.pending)
	if w.job.Reconnect > 0 && client.ShouldReconnect(why) {
		w.loop.At(now+uint64(backoff(1)), func(uint64) {
			if !w.closed {
				p.dial(slices.Index(p.publisher.all, p))
			}
		})
	}
}

func (s *wsPublisher) busy() bool {
	return slices.ContainsFunc(s.all, func(p *wsPublisherConn) bool { return len(p.pending) > 0 })
}

func (s *wsPublisher) dropQueue() int { return 0 }

func (s *wsPublisher) failPending() {
	for _, p := range s.all {
		for range p.pending {
			s.w.fail(client.ErrTimeout)
		}
		clear(p.pending)
	}
}

func (s *wsPublisher) accepted() []delivery.Set { return s.acked }
