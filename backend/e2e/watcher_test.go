package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/history"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// A watcher is a client as the promises expect it: it stays in one room, comes back after each end
// of its connection, elsewhere, and resumes from its last offset. It counts what it was sent, and
// tells it to a recorder.
type watcher struct {
	name      string
	room      string
	saw       *history.Recorder // nil for nobody
	addresses []string          // WebSocket endpoints, tried in turn
	subscribe wire.Subscribe
	done      chan struct{} // closed by leave
	running   sync.WaitGroup

	mu         sync.Mutex
	conn       *websocket.Conn
	last       wire.Offset
	got        uint64
	wrong      []string // what broke a promise
	gaps       []wire.Gap
	ends       []int   // close codes; 0 when the connection just broke
	drained    []int64 // retryAfter of drain frames
	connected  int
	heartbeats int
	data       string // of the last event
}

// watch starts a watcher and waits until it is in the room of the zone.
func watch(t *testing.T, zone string, addresses ...string) *watcher {
	t.Helper()
	return observe(t, nil, "", zone, addresses...)
}

// observe is watch for one that tells a recorder what it sees.
func observe(t *testing.T, saw *history.Recorder, name, zone string, addresses ...string) *watcher {
	t.Helper()
	w := &watcher{name: name, room: "zone:warehouse-1:" + zone, saw: saw, addresses: addresses, done: make(chan struct{}),
		subscribe: wire.Subscribe{Target: wire.Target{Warehouse: "warehouse-1", Zone: zone}}}
	w.running.Go(w.run)
	t.Cleanup(w.leave)
	testkit.Succeeds(t, "the client is in the room", func() error {
		if n, _ := w.state(); n == 0 {
			return errors.New("not connected")
		}
		return nil
	})
	return w
}

// leave ends it.
func (w *watcher) leave() {
	w.mu.Lock()
	select {
	case <-w.done:
	default:
		close(w.done)
	}
	if w.conn != nil {
		w.conn.Close()
	}
	w.mu.Unlock()
	w.running.Wait()
}

func (w *watcher) left() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func (w *watcher) run() {
	for i := 0; !w.left(); i++ {
		err := w.visit(w.addresses[i%len(w.addresses)])
		w.mu.Lock()
		var end *websocket.CloseError
		switch {
		case w.left():
		case errors.As(err, &end):
			w.ends = append(w.ends, end.Code)
			w.record(history.Record{Kind: history.Closed, Code: end.Code, Reading: true})
		default:
			w.ends = append(w.ends, 0)
		}
		w.mu.Unlock()
		select {
		case <-w.done:
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// visit is one connection.
func (w *watcher) visit(address string) error {
	conn, response, err := websocket.DefaultDialer.Dial(address, nil)
	if err != nil {
		if response != nil {
			response.Body.Close()
		}
		return err
	}
	defer conn.Close()
	w.mu.Lock()
	if w.left() {
		w.mu.Unlock()
		return nil
	}
	w.conn = conn
	s := w.subscribe
	if !w.last.IsZero() {
		s.Offset = w.last.String()
	}
	w.mu.Unlock()
	if err := conn.WriteJSON(map[string]any{"event": wire.EventSubscribe, "id": 1, "data": s}); err != nil {
		return err
	}
	for {
		var f struct {
			frame
			Retained bool `json:"retained"`
		}
		if err := conn.ReadJSON(&f); err != nil {
			return err
		}
		w.take(f.frame, f.Retained)
	}
}

// record says when and who.
func (w *watcher) record(r history.Record) {
	if w.saw != nil {
		r.Who, r.Room, r.At = w.name, w.room, time.Now().UnixMilli()
		w.saw.Add(r)
	}
}

func (w *watcher) take(f frame, retained bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case f.Event == wire.EventConnected || retained:
	case f.Event == wire.EventAck:
		var at wire.Position
		if err := json.Unmarshal(f.Data, &at); err != nil {
			w.wrong = append(w.wrong, fmt.Sprintf("ack %s", f.Data))
		}
		w.connected++
		if w.last.IsZero() {
			w.last = w.offset(at.Offset)
			w.record(history.Record{Kind: history.Join, Offset: at.Offset})
		} else {
			w.record(history.Record{Kind: history.Resume, Offset: w.last.String()})
		}
	case f.Event == wire.EventGap:
		var g wire.Gap
		_ = json.Unmarshal(f.Data, &g)
		w.gaps = append(w.gaps, g)
		w.last = w.offset(g.To)
		w.record(history.Record{Kind: history.Gap, From: g.From, To: g.To})
	case f.Event == wire.EventConflated:
		var c wire.Conflated
		_ = json.Unmarshal(f.Data, &c)
		if c.From != w.last.String() {
			w.wrong = append(w.wrong, fmt.Sprintf("conflated from %s after %s", c.From, w.last))
		}
		w.last = w.offset(c.To)
		w.record(history.Record{Kind: history.Conflated, From: c.From, To: c.To})
	case f.Event == wire.EventDrain:
		var d wire.Drain
		_ = json.Unmarshal(f.Data, &d)
		w.drained = append(w.drained, d.RetryAfter)
	case f.Event == wire.EventHeartbeat:
		w.heartbeats++
	case f.Event == wire.EventError:
		w.wrong = append(w.wrong, "error "+string(f.Data))
	default:
		at := w.offset(f.Offset)
		if at.Epoch != w.last.Epoch || at.N != w.last.N+1 {
			w.wrong = append(w.wrong, fmt.Sprintf("%s after %s", at, w.last))
		}
		w.last, w.data = at, string(f.Data)
		w.got++
		w.record(history.Record{Kind: history.Event, Offset: f.Offset, Event: f.Event, Hash: w.data})
	}
}

func (w *watcher) offset(s string) wire.Offset {
	o, err := wire.ParseOffset(s)
	if err != nil {
		w.wrong = append(w.wrong, fmt.Sprintf("offset %q: %v", s, err))
	}
	return o
}

// cut breaks the connection without a word.
func (w *watcher) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		w.conn.NetConn().Close()
	}
}

// state returns how often it was in the room and the last offset.
func (w *watcher) state() (connected int, last wire.Offset) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.connected, w.last
}

// want waits for the message at this offset, and fails unless it got exactly so many messages, in
// order, without a gap.
func (w *watcher) want(t *testing.T, name string, last wire.Offset, messages uint64) {
	t.Helper()
	testkit.Succeeds(t, name+" has "+last.String(), func() error {
		if _, at := w.state(); at != last {
			return fmt.Errorf("it is at %s", at)
		}
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.got != messages || len(w.wrong) > 0 || len(w.gaps) > 0 {
		t.Errorf("%s got %d messages, want %d; wrong: %v; gaps: %v; ends: %v", name, w.got, messages, w.wrong, w.gaps, w.ends)
	}
}

// wantData waits until the last message that it got has this data.
func (w *watcher) wantData(t *testing.T, name, data string) {
	t.Helper()
	testkit.Succeeds(t, name+" has the last message", func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.data != data {
			return fmt.Errorf("it is at %s with %s, not at %s", w.last, w.data, data)
		}
		return nil
	})
}

// post publishes to a zone and returns the answer's offset, or an error for any answer but 200.
func post(base, zone, key, body string) (wire.Offset, error) {
	return postWithin(context.Background(), patience, base, zone, key, body)
}

// postWithin is post with a bound on the wait, as a service has that asks another instance next.
func postWithin(ctx context.Context, wait time.Duration, base, zone, key, body string) (wire.Offset, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return postThrough(ctx, http.DefaultClient, base, zone, key, body)
}

func postThrough(ctx context.Context, through *http.Client, base, zone, key, body string) (wire.Offset, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/warehouses/warehouse-1/zones/"+zone+"/broadcast",
		strings.NewReader(body))
	if err != nil {
		return wire.Offset{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	response, err := through.Do(r)
	if err != nil {
		return wire.Offset{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		return wire.Offset{}, &refusal{response.StatusCode, response.Header.Get("Retry-After"), string(said)}
	}
	var position wire.Position
	if err := json.NewDecoder(response.Body).Decode(&position); err != nil {
		return wire.Offset{}, err
	}
	return wire.ParseOffset(position.Offset)
}

// send is post of what has to be accepted.
func send(t *testing.T, base, zone, body string) wire.Offset {
	t.Helper()
	at, err := post(base, zone, "", body)
	testkit.Must(t, err)
	return at
}

// A refusal is an answer other than 200.
type refusal struct {
	status     int
	retryAfter string
	body       string
}

func (r *refusal) Error() string { return "answered " + strconv.Itoa(r.status) }

// publishTill publishes until it is accepted, with one idempotency key, as a careful service does.
func publishTill(bases []string, zone, key, body string) (wire.Offset, error) {
	var err error
	for i, deadline := 0, time.Now().Add(patience); time.Now().Before(deadline); i++ {
		var at wire.Offset
		if at, err = post(bases[i%len(bases)], zone, key, body); err == nil {
			return at, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return wire.Offset{}, fmt.Errorf("not accepted within %v: %w", patience, err)
}
