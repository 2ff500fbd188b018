package sim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/internal/history"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
)

// A client is what docs/protocol.md tells one to be, over one of three transports. The world calls
// it; it records what it receives and concludes nothing.
type client struct {
	w     *world
	name  string
	kind  string // ws, sse or poll
	rooms []string
	rand  *rand.Rand

	at     map[string]string // offsets, by room
	owed   map[string]bool   // rooms of whose retained events some are still to come
	count  map[string]int    // how many, over WebSocket; else the server's cursor says that there are some
	peer   *peer             // nil while it is away
	via    string            // the instance that it connected to last
	buf    []byte
	head   bool // the response's head was read
	body   []byte
	frames wsframe.Reader
	asked  map[string]string // offsets that the connection was asked to resume from
	ids    map[int64]string  // rooms that were subscribed to by frame
	nextID int64
	heard  time.Time
	next   time.Time // when to connect, or poll, again
	tries  int
	asleep bool // it has not read all the time
	// restless clients give their connections up after a few frames, and then may have forgotten
	// where they were.
	restless bool
	leaving  map[int64]string // rooms that it asked to leave, by the frame's id
	sse      struct {
		id    string
		event string
		data  []string
	}
}

// newClient returns one that connects first at a time.
func newClient(w *world, a Actor, next time.Time) *client {
	return &client{w: w, name: a.Name, kind: a.Kind, rooms: a.Rooms, rand: w.randOf(a.Name), at: map[string]string{}, owed: map[string]bool{},
		count: map[string]int{}, next: next}
}

// owesRetained follows the offset of such a room in a cursor.
const owesRetained = ".retained"

const patience = 70 * time.Second // without a heartbeat

func (c *client) logf(format string, args ...any) { c.w.logf(c.name, format, args...) }

func (c *client) record(r history.Record) {
	r.Who = c.name
	c.w.record(r)
}

// due returns when it has something to do.
func (c *client) due() time.Time {
	if c.peer != nil {
		return c.heard.Add(patience)
	}
	return c.next
}

// act does what is due.
func (c *client) act() {
	if c.peer == nil {
		c.connect()
		return
	}
	c.logf("hears nothing, and connects anew")
	c.leave()
}

// leave gives the connection up, and comes back later.
func (c *client) leave() {
	if p := c.peer; p != nil {
		c.peer = nil // it need not be told
		p.cut()
	}
	c.away(0)
}

// dropAtRandom makes a restless client drop its connection now and then.
func (c *client) dropAtRandom() {
	stays := 4
	if slices.ContainsFunc(c.rooms, func(room string) bool { return c.owed[room] }) {
		stays = 2
	}
	if !c.restless || c.peer == nil || c.rand.IntN(stays) > 0 {
		return
	}
	c.leave()
	c.away(time.Duration(1 + c.rand.Int64N(int64([]time.Duration{50, 1500}[c.rand.IntN(2)]*time.Millisecond))))
	if c.rand.IntN(2) > 0 {
		c.logf("is restless, and comes back")
		return
	}
	c.logf("is restless, and begins anew")
	for _, room := range c.rooms {
		c.forget(room)
	}
}

// forget leaves a room for good: it is joined afresh, if at all.
func (c *client) forget(room string) {
	if c.at[room] != "" {
		c.record(history.Record{Kind: history.Leave, Room: room})
	}
	delete(c.at, room)
	delete(c.owed, room)
}

// leaveRoom asks to leave a room that was subscribed to by a frame, and to join it again after a
// time.
func (c *client) leaveRoom(after time.Duration) {
	if c.peer == nil || !c.head || len(c.rooms) < 2 || c.kind != "ws" {
		return
	}
	name := c.rooms[1]
	c.logf("leaves %s", name)
	c.send("unsubscribe", name, "")
	c.leaving[c.nextID] = name
	on := c.peer
	c.w.after(after, func() {
		if c.peer == on {
			c.subscribe(name)
		}
	})
}

func (c *client) away(after time.Duration) {
	c.peer = nil
	if after == 0 {
		c.tries++
		after = time.Duration(c.rand.Int64N(int64(min(5*time.Second, 250*time.Millisecond<<min(c.tries, 5)))))
	}
	c.next = time.Now().Add(after)
}

// connect connects to any instance.
func (c *client) connect() {
	in := c.w.pick(c.rand)
	if in == nil {
		c.away(0)
		return
	}
	c.w.connections++
	var p *peer
	mine := func() bool { return c.peer == p }
	end, p := c.w.net.connect(fmt.Sprintf("%s-%d", c.name, c.w.connections), false, c.w.scenario.Window,
		func(b []byte) {
			if mine() {
				c.receive(b)
			}
		}, func(error) {
			if mine() {
				c.logf("is disconnected")
				c.away(0)
			}
			p.cut()
		})
	in.peers = append(in.peers, p)
	in.listener.waiting <- end
	c.via = in.name
	c.peer, c.buf, c.head, c.body, c.frames, c.heard, c.asleep = p, nil, false, nil, wsframe.Reader{}, time.Now(), false
	c.asked, c.ids, c.leaving = map[string]string{}, map[int64]string{}, map[int64]string{}
	q := url.Values{}
	var cursor []string
	for i, room := range c.rooms {
		switch at := c.at[room]; {
		case c.kind == "ws" && i > 0: // by a frame
		case at != "":
			c.asked[room] = at
			if c.owed[room] {
				at += owesRetained
			}
			cursor = append(cursor, room+"@"+at)
		default:
			q.Add("room", room)
		}
	}
	text := strings.Join(cursor, ",")
	c.logf("connects to %s over %s%s", in.name, c.kind, c.w.text(prefixed(", at ", text)))
	header := ""
	switch {
	case text == "":
	case c.kind == "sse":
		header = "Last-Event-ID: " + text + "\r\n"
		for room := range c.asked {
			q.Add("room", room)
		}
	default:
		q.Set("cursor", text)
	}
	if c.kind == "ws" {
		c.peer.send(wsframe.AppendRequest(nil, "zonecast", "/ws?"+q.Encode(), "", false))
		return
	}
	if c.kind == "poll" {
		q.Set("wait", "5000")
	}
	c.peer.send(fmt.Appendf(nil, "GET /%s?%s HTTP/1.1\r\nHost: zonecast\r\n%s\r\n", c.kind, q.Encode(), header))
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func (c *client) receive(p []byte) {
	c.heard = time.Now()
	c.buf = append(c.buf, p...)
	switch c.kind {
	case "ws":
		c.receiveWS()
	case "sse":
		c.receiveSSE()
	default:
		c.receivePoll()
	}
}

func (c *client) closed(code int, reason string) {
	c.logf("is closed with %d: %s", code, reason)
	c.record(history.Record{Kind: history.Closed, Code: code, Reading: !c.asleep})
	later := c.next
	c.leave()
	if later.After(time.Now()) { // as drain said
		c.next = later
	}
}

// frame takes one frame of the protocol.
func (c *client) frame(p []byte) {
	f, err := wire.DecodeServer(p)
	if err != nil {
		c.w.failf("%s: %v: %s", c.name, err, p)
		return
	}
	switch {
	case f.Room != "":
		c.event(f)
	case f.Event == wire.EventConnected:
		var d wire.Connected
		c.decode(f.Data, &d)
		c.connected(d)
	case f.Event == wire.EventGap, f.Event == wire.EventConflated:
		var g wire.Gap
		c.decode(f.Data, &g)
		kind := history.Gap
		if f.Event == wire.EventConflated {
			kind = history.Conflated
		}
		c.logf("is told %s of %s from %s to %s", kind, g.Room, c.w.text(g.From), c.w.text(g.To))
		c.record(history.Record{Kind: kind, Room: g.Room, From: g.From, To: g.To})
		c.at[g.Room] = g.To
	case f.Event == wire.EventDrain:
		var d wire.Drain
		c.decode(f.Data, &d)
		c.next = time.Now().Add(time.Duration(d.RetryAfter)*time.Millisecond + time.Duration(c.rand.Int64N(int64(20*time.Millisecond))))
		c.logf("is asked to come back after %d ms", d.RetryAfter)
	case f.Event == wire.EventAck:
		c.ack(f)
	case f.Event == wire.EventError:
		c.refused(f)
	}
}

func (c *client) decode(data json.RawMessage, into any) {
	if err := json.Unmarshal(data, into); err != nil {
		c.w.failf("%s: %v: %s", c.name, err, data)
	}
}

func (c *client) event(f wire.ServerFrame) {
	kind := history.Event
	if f.Retained {
		kind = history.Retained
		c.count[f.Room]--
		c.owed[f.Room] = c.owed[f.Room] && (c.kind != "ws" || c.count[f.Room] > 0)
	} else {
		c.at[f.Room] = f.Offset
	}
	c.logf("receives %s %s %s %s %.40s", kind, f.Room, c.w.text(f.Offset), f.Event, f.Data)
	c.record(history.Record{Kind: kind, Room: f.Room, Offset: f.Offset, Event: f.Event, Hash: string(f.Data), Via: c.via})
}

func (c *client) connected(d wire.Connected) {
	c.tries = 0
	c.logf("is connected to %s", d.Node)
	for _, r := range d.Rooms {
		c.joined(r.Room, r.Offset, c.asked[r.Room])
		c.owes(r)
	}
	if c.kind != "ws" {
		return
	}
	for _, room := range c.rooms[1:] {
		c.subscribe(room)
	}
}

// owes notes how many retained events follow, as clients over WebSocket do.
func (c *client) owes(r wire.Position) {
	if c.kind == "ws" {
		c.count[r.Room], c.owed[r.Room] = r.Retained, r.Retained > 0
	}
}

func (c *client) joined(room, offset, asked string) {
	if asked == "" {
		c.logf("joins %s at %s", room, c.w.text(offset))
		c.at[room] = offset
		c.record(history.Record{Kind: history.Join, Room: room, Offset: offset})
		return
	}
	c.record(history.Record{Kind: history.Resume, Room: room, Offset: asked})
}

func (c *client) subscribe(name string) {
	c.asked[name] = c.at[name]
	offset := c.at[name]
	if c.owed[name] {
		offset += owesRetained
	}
	c.send("subscribe", name, offset)
	c.ids[c.nextID] = name
}

// send sends a frame about a room, with the next id.
func (c *client) send(event, name, offset string) {
	room, err := wire.ParseRoom(name)
	if err != nil {
		panic(err) // of the scenario
	}
	c.nextID++
	data := map[string]string{"warehouse": room.Warehouse}
	if room.Zone != "" {
		data["zone"] = room.Zone
	}
	if offset != "" {
		data["offset"] = offset
	}
	p, err := json.Marshal(map[string]any{"event": event, "id": c.nextID, "data": data})
	if err != nil {
		panic(err)
	}
	c.peer.send(wsframe.AppendMasked(nil, wsframe.Text, [4]byte{}, p))
}

func (c *client) ack(f wire.ServerFrame) {
	if room := c.leaving[f.ID]; room != "" {
		c.logf("has left %s", room)
		c.forget(room)
		return
	}
	var d wire.Position
	c.decode(f.Data, &d)
	c.joined(d.Room, d.Offset, c.asked[d.Room])
	c.owes(d)
}

func (c *client) refused(f wire.ServerFrame) {
	var e wire.Error
	c.decode(f.Data, &e)
	c.logf("is refused: %s", e.Code)
	switch room := c.ids[f.ID]; {
	case room == "":
	case e.Code == wire.CodeUnavailable || e.Code == wire.CodeInternal:
		c.w.after(time.Second, func() {
			if c.peer != nil && c.head && slices.Contains(c.rooms, room) {
				c.subscribe(room)
			}
		})
	default:
		c.w.failf("%s: subscribe to %s is refused: %s", c.name, room, e.Code)
	}
}

// sleep stops the client from reading, or lets it go on.
func (c *client) sleep(on bool) {
	if c.peer == nil {
		return
	}
	c.asleep = true
	c.w.net.mu.Lock()
	c.peer.out.held = on
	c.w.net.mu.Unlock()
}
