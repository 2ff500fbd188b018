package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/internal/history"
	"github.com/zonecast/zonecast/backend/wire"
)

// A publisher publishes one message after the other over HTTP. One with keys tries each until it is
// answered; one without tries once.
type publisher struct {
	w *world
	Actor
	rand *rand.Rand
	n    int

	peer  *peer
	buf   []byte
	sent  time.Time
	next  time.Time
	now   history.Record // what is being published; Kind is empty for nothing
	body  []byte
	tries int
	waits time.Duration   // for an answer
	last  map[string]bool // rooms whose last message is still to be published
}

func (p *publisher) logf(format string, args ...any) { p.w.logf(p.Name, format, args...) }

// due returns when it has something to do; zero for never.
func (p *publisher) due() time.Time {
	switch {
	case p.peer != nil:
		return p.sent.Add(p.waits)
	case p.now.Kind == "" && p.w.calm && len(p.last) == 0:
		return time.Time{}
	}
	return p.next
}

// act does what is due.
func (p *publisher) act() {
	switch {
	case p.peer != nil:
		p.logf("waits no longer")
		p.end("unknown", "")
	case p.now.Kind != "":
		p.try()
	default:
		p.begin()
	}
}

// begin makes up a message.
func (p *publisher) begin() {
	room := p.Rooms[p.rand.IntN(len(p.Rooms))]
	if p.w.calm {
		for _, name := range p.Rooms {
			if p.last[name] {
				room = name
			}
		}
		delete(p.last, room)
	}
	p.n++
	data := fmt.Sprintf(`{"id":"%s-%d"}`, p.Name, p.n)
	if p.rand.IntN(6) == 0 {
		data = fmt.Sprintf(`{"id":"%s-%d","text":"%s"}`, p.Name, p.n, strings.Repeat("x", 200+p.rand.IntN(1500)))
	}
	p.now = history.Record{Kind: history.Publish, Who: p.Name, Room: room, Event: "E", Hash: data}
	body := map[string]any{"event": "E", "data": json.RawMessage(data)}
	switch p.rand.IntN(6) {
	case 0:
		p.now.Retain, p.now.Event = true, fmt.Sprintf("R%d", p.rand.IntN(2))
		body["retain"], body["event"] = true, p.now.Event
	case 1, 2:
		p.now.Conflate = fmt.Sprintf("C%d", p.rand.IntN(2))
		body["conflate"] = p.now.Conflate
	}
	if p.Kind == "keys" {
		p.now.Key = fmt.Sprintf("%s-%d", p.Name, p.n) // anonymous publishers share their keys
	}
	var err error
	if p.body, err = json.Marshal(body); err != nil {
		panic(err)
	}
	p.tries = 0
	p.try()
}

func (p *publisher) try() {
	in := p.w.pick(p.rand)
	if in == nil {
		p.next = time.Now().Add(100 * time.Millisecond)
		return
	}
	room, err := wire.ParseRoom(p.now.Room)
	if err != nil {
		panic(err) // of the scenario
	}
	p.w.connections++
	var end *conn
	var mine *peer
	end, mine = p.w.net.connect(fmt.Sprintf("%s-%d", p.Name, p.w.connections), false, 64<<10, func(b []byte) {
		if p.peer == mine {
			p.receive(b)
		}
	}, func(error) {
		if p.peer == mine {
			p.end("unknown", "")
		}
	})
	in.peers = append(in.peers, mine)
	in.listener.waiting <- end
	p.peer, p.buf, p.sent = mine, nil, time.Now()
	p.tries++
	p.waits = 6 * time.Second
	if p.now.Key != "" && p.rand.IntN(8) == 0 {
		p.waits = time.Duration(1+p.rand.IntN(20)) * time.Millisecond // the answer may be under way
	}
	path := "/api/v1/warehouses/" + room.Warehouse
	if room.Zone != "" {
		path += "/zones/" + room.Zone
	}
	header := ""
	if p.now.Key != "" {
		header = "Idempotency-Key: " + p.now.Key + "\r\n"
	}
	p.logf("publishes %s to %s at %s%s", p.now.Hash[:min(len(p.now.Hash), 30)], p.now.Room, in.name, prefixed(", try ", triesText(p.tries)))
	mine.send(fmt.Appendf(nil, "POST %s/broadcast HTTP/1.1\r\nHost: zonecast\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", path,
		header, len(p.body), p.body))
}

func triesText(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprint(n)
}

func (p *publisher) receive(b []byte) {
	p.buf = append(p.buf, b...)
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(p.buf)), nil)
	if err != nil {
		return // not all of it yet
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close() // of bytes
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return
	}
	var d struct {
		Offset string
		Code   string
	}
	_ = json.Unmarshal(body, &d) // what is not one is refused
	switch answer.StatusCode {
	case http.StatusOK:
		p.end("ok", d.Offset)
	case http.StatusServiceUnavailable:
		p.end("unknown", "")
	default:
		p.logf("is answered %d %s", answer.StatusCode, d.Code)
		if answer.StatusCode == http.StatusConflict {
			p.w.failf("%s: the key %s, which is of one message, is refused", p.Name, p.now.Key)
		}
		p.end("refused", "")
	}
}

// end takes the outcome of a try.
func (p *publisher) end(outcome, offset string) {
	peer := p.peer
	p.peer = nil
	peer.cut()
	p.next = time.Now().Add(time.Duration(p.rand.Int64N(int64(2 * p.w.scenario.Pace))))
	if outcome == "unknown" && p.now.Key != "" && (p.tries < 30 || p.w.calm) {
		p.logf("knows nothing, and tries again")
		p.next = time.Now().Add(300 * time.Millisecond)
		return
	}
	p.logf("has %s %s for %s", outcome, p.w.text(offset), p.now.Hash[:min(len(p.now.Hash), 30)])
	p.now.Outcome, p.now.Offset, p.now.Sent = outcome, offset, p.sent.Sub(p.w.began).Milliseconds()
	p.w.record(p.now)
	if outcome == "ok" && p.now.Key != "" && p.rand.IntN(10) == 0 {
		p.logf("does not remember the answer, and tries again")
		return
	}
	p.now = history.Record{}
}
