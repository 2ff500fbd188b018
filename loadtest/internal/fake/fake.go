// Package fake is a server for tests that speaks Zonecast's protocol and breaks its promises.
//
//	test ──▶ New(Faults{Lose: Every(10)})  an httptest server: /ws, /sse, /poll and the publish API
//
// Faults apply to the messages of a run, which have a sequence number, and not to those before it.
package fake

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

// A When says for which sequence numbers a fault occurs.
type When func(seq uint32) bool

// Every returns a When for each nth message: n-1, 2n-1 …
func Every(n uint32) When { return func(seq uint32) bool { return seq%n == n-1 } }

// Only returns a When for one message.
func Only(n uint32) When { return func(seq uint32) bool { return seq == n } }

// Faults are the promises to break, for every member alike; the zero Faults breaks none.
type Faults struct {
	Lose      When // not delivered
	Duplicate When // delivered twice, one right after the other
	Damage    When // delivered with a blank more in its data
	Misroute  When // delivered as an event of the warehouse's own room
	Swap      When // delivered after the message that follows it
	Refuse    When // not published: HTTP 503
	Deny      When // published, and answered with HTTP 503 all the same
	Drop      When // a connection is cut: that of the first member before the message is delivered, or of the echo's sender
	Shut      When // all connections are closed before the message is delivered
	Hold      When // a posted echo: answered when HoldFor others were
	HoldFor   int
	Delay     time.Duration
	// ShutCode is the close code of Shut, 1012 when it is 0. Away is how long nobody is let in
	// after it. Forget: history is lost with it, and a new epoch begins.
	ShutCode wire.CloseCode
	Away     time.Duration
	Forget   bool

	Stubborn      bool          // nobody may come back
	Connections   int           // how many are let in; the others get HTTP 503. 0 for all
	Think         time.Duration // how long the API takes for each request
	Deaf          bool          // the API takes messages, and no member ever gets one
	ClientsListen bool          // clients may not publish, only services
	Token, Key    string        // what members and publishers must show, if not empty
}

// A Server is the fake server. Close it when done.
type Server struct {
	*httptest.Server
	faults Faults
	queue  chan delivery
	done   sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	epoch     string
	n         uint64         // the room's latest offset
	history   []wire.Message // of the epoch, as far as it was delivered
	frames    [][]byte       // what went out, faults included, in its order: for long polls
	more      chan struct{}  // closed, and made anew, when frames get more or the server ends
	forgotten uint64         // messages that Forget took with it
	back      time.Time      // until then nobody is let in
	let       int            // connections let in
	batches   int            // requests with several messages
	posted    int            // echoes that were posted and not held
	released  chan struct{}  // closed when HoldFor echoes were
	members   []*member
	echoes    map[*member]*wire.ClientFrame // held back by Swap
	held      *delivery                     // held back by Swap; only the deliverer touches it
}

type member struct {
	mu  sync.Mutex // held while writing
	put func(p []byte)
	end func(code wire.CloseCode) // with a close frame, unless the code is 0
}

func (m *member) write(p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(p)
}

type delivery struct {
	wire.Message
	seq    uint32
	hasSeq bool
	due    time.Time
}

func newDelivery(event string, data json.RawMessage) delivery {
	d := delivery{Message: wire.Message{Room: Room, Event: event, Data: data}}
	found, ok := stamp.Find(data)
	d.seq, d.hasSeq = found.Seq, ok && found.Stream != stamp.Probe
	return d
}

func (d *delivery) hit(when When) bool { return d.hasSeq && when != nil && when(d.seq) }

// Room is the only room that there is.
var Room = wire.Room{Warehouse: "warehouse-1", Zone: "zone-a"}

// New starts a server on a free port of 127.0.0.1.
func New(faults Faults) *Server {
	s := &Server{faults: faults, queue: make(chan delivery, 100_000), epoch: "fake1", echoes: map[*member]*wire.ClientFrame{}, more: make(chan struct{}),
		released: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", s.serveWS)
	mux.HandleFunc("GET /sse", s.serveSSE)
	mux.HandleFunc("GET /poll", s.servePoll)
	mux.HandleFunc("POST /sse", s.serveFrame)
	mux.HandleFunc("POST /poll", s.serveFrame)
	mux.HandleFunc("POST /api/v1/broadcast", s.serveBatch)
	mux.HandleFunc("POST /api/v1/warehouses/warehouse-1/zones/zone-a/broadcast", s.servePublish)
	s.Server = httptest.NewServer(mux)
	s.done.Go(s.deliver)
	return s
}

// WSURL returns where members connect.
func (s *Server) WSURL() string { return "ws" + strings.TrimPrefix(s.URL, "http") + "/ws" }

// Published returns how many messages the server took.
func (s *Server) Published() uint64 { return locked(s, &s.n) }

// Forgotten returns how many messages were lost with the history.
func (s *Server) Forgotten() uint64 { return locked(s, &s.forgotten) }

// Batches returns how many requests had several messages.
func (s *Server) Batches() int { return locked(s, &s.batches) }

// locked reads a field that s.mu guards.
func locked[T any](s *Server, field *T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *field
}

// Close ends the server and all its connections.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	members := s.members
	s.members = nil
	close(s.more)
	s.more = make(chan struct{})
	s.mu.Unlock()
	for _, m := range members {
		m.end(0)
	}
	s.Server.CloseClientConnections()
	s.Server.Close()
	close(s.queue)
	s.done.Wait()
}

func (s *Server) servePublish(w http.ResponseWriter, r *http.Request) {
	if !authorized(r, s.faults.Key) {
		refuse(w, http.StatusUnauthorized, "the API key is missing or wrong")
		return
	}
	body, err := io.ReadAll(r.Body)
	var in struct {
		Event string
		Data  json.RawMessage
	}
	if err != nil || json.Unmarshal(body, &in) != nil {
		refuse(w, http.StatusBadRequest, "the body is not JSON")
		return
	}
	time.Sleep(s.faults.Think)
	d := newDelivery(in.Event, in.Data)
	if d.hit(s.faults.Refuse) {
		refuse(w, http.StatusServiceUnavailable, "the broker is away")
		return
	}
	offset := s.publish(d)
	if d.hit(s.faults.Deny) {
		refuse(w, http.StatusServiceUnavailable, "the broker is away")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(wire.PositionOf(Room, offset))
}

func (s *Server) serveBatch(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Messages []struct {
			wire.Target
			Event string
			Data  json.RawMessage
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, "the body is not JSON")
		return
	}
	time.Sleep(s.faults.Think)
	s.mu.Lock()
	s.batches++
	s.mu.Unlock()
	results := []any{}
	for _, m := range in.Messages {
		d := newDelivery(m.Event, m.Data)
		if room, err := m.Room(); err != nil || room != Room || d.hit(s.faults.Refuse) {
			results = append(results, map[string]any{"error": wire.Error{Code: wire.CodeUnavailable, Message: "the broker is away"}})
			continue
		}
		results = append(results, wire.PositionOf(Room, s.publish(d)))
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
}

// publish gives a message its offset and queues it.
func (s *Server) publish(d delivery) wire.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	d.Offset = wire.Offset{Epoch: s.epoch, N: s.n}
	d.Time = time.Now().UnixMilli()
	d.due = time.Now().Add(s.faults.Delay)
	if !s.closed && !s.faults.Deaf {
		s.queue <- d
	}
	return d.Offset
}

func (s *Server) deliver() {
	for d := range s.queue {
		time.Sleep(time.Until(d.due))
		switch {
		case d.hit(s.faults.Drop):
			s.drop()
		case d.hit(s.faults.Shut):
			s.shut()
		}
		if d.hit(s.faults.Swap) {
			s.held = &d
			continue
		}
		s.fanOut(d)
		if s.held != nil {
			s.fanOut(*s.held)
			s.held = nil
		}
	}
}

func (s *Server) fanOut(d delivery) {
	members := s.remember(d)
	if d.hit(s.faults.Lose) {
		return
	}
	if d.hit(s.faults.Damage) {
		d.Data = append(json.RawMessage("{ "), d.Data[1:]...)
	}
	if d.hit(s.faults.Misroute) {
		d.Room = wire.Room{Warehouse: Room.Warehouse}
	}
	frame := wire.AppendMessage(nil, &d.Message)
	s.mu.Lock()
	s.frames = append(s.frames, frame)
	if d.hit(s.faults.Duplicate) {
		s.frames = append(s.frames, frame)
	}
	close(s.more)
	s.more = make(chan struct{})
	s.mu.Unlock()
	for _, m := range members {
		m.write(frame)
		if d.hit(s.faults.Duplicate) {
			m.write(frame)
		}
	}
}

// remember puts a message into the history and returns the members that are to have it now: who
// comes later has it from the history. A message of an epoch that is over is for nobody.
func (s *Server) remember(d delivery) []*member {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.Offset.Epoch != s.epoch {
		s.forgotten++
		return nil
	}
	s.history = append(s.history, d.Message)
	return append([]*member{}, s.members...)
}

func (s *Server) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.members) > 0 {
		s.members[0].end(0)
		s.members = s.members[1:]
	}
}

// shut closes all connections, as a server that restarts does.
func (s *Server) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.back = time.Now().Add(s.faults.Away)
	if s.faults.Forget {
		s.epoch, s.n, s.history = "fake2", 0, nil
	}
	for _, m := range s.members {
		m.end(cmp.Or(s.faults.ShutCode, wire.CloseRestart))
	}
	s.members = nil
}

func authorized(r *http.Request, want string) bool {
	return want == "" || r.Header.Get("Authorization") == "Bearer "+want
}

func refuse(w http.ResponseWriter, code int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": code, "title": http.StatusText(code), "detail": detail})
}
