// Package canary measures what clients get: every few seconds an instance publishes an event to a
// room of its own, and waits for it at the other end of a real WebSocket.
//
//	Run ── Publish ──▶ broker ──▶ Handler ──▶ the canary's hub ──▶ the writers of all clients ──▶ TCP ──▶ Run
//	                                 └──▶ the hub of clients: all other rooms
//
// The hub and the gate are its own, so that the canary is no client in any count or limit. The name
// of its room is none that a client or a publisher may use, and its port is open for as long as it
// connects, for who knows a secret of that one connection.
package canary

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// Transport is the name under which what is written to the canary is told to the meter.
const Transport = "canary"

// The results of an event: the label result.
const (
	Arrived      = "arrived"
	Refused      = "refused"       // by the broker
	Lost         = "lost"          // accepted, and not there in time
	NoConnection = "no_connection" // no connection, or the room could not be joined
)

// Results are all of them.
func Results() []string { return []string{Arrived, Refused, Lost, NoConnection} }

// DefaultTimeout is how long an event may take: the last bound of the histogram.
const DefaultTimeout = 10 * time.Second

// prefix begins the names of the canaries' warehouses. wire.NewRoom refuses its first character.
const prefix = "~canary-"

// rooms is how many rooms the canaries of all instances share: Redis keeps a little of each one for
// ever, and instances may get another name at each start. Who shares a room passes over what is the
// other's.
const rooms = 64

// RoomOf returns the room of an instance.
func RoomOf(node string) wire.Room {
	h := fnv.New32a()
	_, _ = h.Write([]byte(node)) // never fails
	return wire.Room{Warehouse: fmt.Sprint(prefix, h.Sum32()%rooms)}
}

// Owns reports whether a warehouse is that of a canary.
func Owns(warehouse string) bool { return strings.HasPrefix(warehouse, prefix) }

// Options of a [Canary]. All are needed, but for Timeout.
type Options struct {
	Node     string
	Interval time.Duration
	Timeout  time.Duration // of one event (default DefaultTimeout)
	// Hub has no session but the canary's.
	Hub *hub.Hub
	// WebSocket upgrades each request to a session of the hub.
	WebSocket http.Handler
	Metrics   *metrics.Canary
	Log       *slog.Logger
}

// A Canary measures one instance.
type Canary struct {
	Options
	room wire.Room

	// Owned by Run.
	conn    *websocket.Conn // nil for none
	arrived chan string     // ids of events, from the reader of conn; closed when it ends
	failing bool            // as the log knows
}

// New returns a canary, which Run starts.
func New(o Options) *Canary {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	return &Canary{Options: o, room: RoomOf(o.Node)}
}

// Run sends an event at each interval until ctx ends.
func (c *Canary) Run(ctx context.Context) {
	defer c.disconnect()
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		took, result, err := c.send(ctx)
		switch {
		case ctx.Err() != nil: // the instance leaves: an event that was under way says nothing
			return
		case err == nil:
			c.Metrics.Arrived(result, took)
		default:
			c.Metrics.Failed(result)
		}
		c.tell(took, result, err)
	}
}

// tell logs when the canary begins to fail, and when it arrives again.
func (c *Canary) tell(took time.Duration, result string, err error) {
	switch failing := err != nil; {
	case failing && !c.failing:
		c.Log.Warn("the canary does not arrive: clients of this instance may get nothing", "result", result, "error", err)
	case !failing && c.failing:
		c.Log.Info("the canary arrives again", "took", took)
	}
	c.failing = err != nil
}

// send sends one event and waits for it.
func (c *Canary) send(ctx context.Context) (took time.Duration, result string, _ error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := c.connect(ctx); err != nil {
		return 0, NoConnection, err
	}
	id := rand.Text()
	data, _ := json.Marshal(id) // never fails
	began := time.Now()
	if _, err := c.Hub.Publish(ctx, broker.Publication{Room: c.room, Event: "CANARY", Data: data}); err != nil {
		return 0, Refused, err
	}
	for {
		select {
		case got, open := <-c.arrived:
			switch {
			case !open:
				return 0, Lost, errors.New("the connection broke while an event was under way")
			case got == id:
				return time.Since(began), Arrived, nil
			}
		case <-ctx.Done():
			return 0, Lost, fmt.Errorf("an accepted event did not arrive within %v", c.Timeout)
		}
	}
}

// connect makes sure that there is a connection, which is a member of the room. One that is there
// stays even when events are lost, as those of clients do.
func (c *Canary) connect(ctx context.Context) error {
	for c.conn != nil {
		select {
		case _, open := <-c.arrived: // what came too late
			if !open {
				c.disconnect()
			}
			continue
		default:
			return nil
		}
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect to itself: %w", err)
	}
	if err := c.join(ctx, conn); err != nil {
		return errors.Join(fmt.Errorf("join the canary's room: %w", err), conn.Close())
	}
	c.conn, c.arrived = conn, make(chan string, 16)
	go read(conn, c.arrived)
	return nil
}

// dial connects over a port of its own, which is open until then.
func (c *Canary) dial(ctx context.Context) (*websocket.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	path := "/" + rand.Text()
	server := &http.Server{ReadHeaderTimeout: c.Timeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			http.NotFound(w, r)
			return
		}
		c.WebSocket.ServeHTTP(w, r)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // until it is closed
	defer func() { _ = server.Close(); serving.Wait() }()
	dialer := websocket.Dialer{HandshakeTimeout: c.Timeout}
	conn, _, err := dialer.DialContext(ctx, "ws://"+l.Addr().String()+path, nil)
	return conn, err
}

// join brings the session at the other end into the room, which no client could ask for.
func (c *Canary) join(ctx context.Context, conn *websocket.Conn) error {
	deadline, _ := ctx.Deadline()
	if err := conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	var first struct{ Data wire.Connected }
	if err := conn.ReadJSON(&first); err != nil {
		return err
	}
	for _, s := range c.Hub.Sessions() {
		if s.ID == first.Data.ConnectionID {
			return errors.Join(s.Join(ctx, []hub.Join{{Room: c.room}}, func(wire.Cursor) {}), conn.SetReadDeadline(time.Time{}))
		}
	}
	return errors.New("the session ended at once")
}

// read hands on the ids of events until the connection ends. Those that nobody waits for are left
// out.
func read(conn *websocket.Conn, arrived chan<- string) {
	defer close(arrived)
	for {
		var f struct {
			Event string
			Data  json.RawMessage
		}
		if conn.ReadJSON(&f) != nil {
			return
		}
		var id string
		if f.Event != "CANARY" || json.Unmarshal(f.Data, &id) != nil {
			continue
		}
		select {
		case arrived <- id:
		default:
		}
	}
}

// disconnect ends the connection and waits for its reader.
func (c *Canary) disconnect() {
	if c.conn == nil {
		return
	}
	_ = c.conn.Close()
	for range c.arrived { // until the reader has ended
	}
	c.conn = nil
}

// A Handler hands on to each hub what is its.
type Handler struct{ Clients, Canary broker.Handler }

var _ broker.Handler = Handler{}

func (h Handler) of(room wire.Room) broker.Handler {
	if Owns(room.Warehouse) {
		return h.Canary
	}
	return h.Clients
}

// Message implements broker.Handler.
func (h Handler) Message(m *broker.Message) { h.of(m.Room).Message(m) }

// Gap implements broker.Handler.
func (h Handler) Gap(room wire.Room, gap broker.Gap, retained []*broker.Message) {
	h.of(room).Gap(room, gap, retained)
}

// Retained implements broker.Handler.
func (h Handler) Retained(room wire.Room, s broker.Snapshot) { h.of(room).Retained(room, s) }

// ClientsOnly is a meter of the clients' queues, which the canary's shares the writers with.
type ClientsOnly struct{ outbox.Meter }

// Written implements outbox.Meter.
func (m ClientsOnly) Written(transport string, messages, bytes int) {
	if transport != Transport {
		m.Meter.Written(transport, messages, bytes)
	}
}

// Latencies implements outbox.Meter.
func (m ClientsOnly) Latencies(transport string, durations, queued []time.Duration) {
	if transport != Transport {
		m.Meter.Latencies(transport, durations, queued)
	}
}
