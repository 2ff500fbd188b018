package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// A session is one connection; over long polling, a row of polls.
type session interface {
	// next returns the next frame but for heartbeats, counted already. At the end of the connection
	// the error is an *ended.
	next() (frame, error)
	// ask sends a frame and returns the ack or the error that answers it. Over Server-Sent Events
	// and long polling it is a POST.
	ask(text string) (frame, error)
	// cursor is where it stands.
	cursor() cursor
	close()
}

// An ended says with which close code a connection ended.
type ended struct {
	code   int
	reason string
}

func (e *ended) Error() string {
	return fmt.Sprintf("the connection ended with %d %q", e.code, e.reason)
}

// A connected is the data of the first frame.
type connected struct {
	ConnectionID string `json:"connectionId"`
	Rooms        []struct {
		Room, Offset string
		Retained     int
	}
	Heartbeat  int64  `json:"heartbeat"`
	ServerTime int64  `json:"serverTime"`
	Node       string `json:"node"`
	Limits     *limits
}

type limits struct {
	FrameBytes int `json:"frameBytes"`
}

// where is what the query of a connection says.
type where struct {
	rooms  []string // by name
	cursor cursor
	owed   bool // retained events are still to come in the rooms of the cursor
	other  url.Values
}

func (w where) query() string {
	q := url.Values{}
	for name, values := range w.other {
		q[name] = values
	}
	q["room"] = w.rooms
	if len(w.cursor) > 0 {
		q.Set("cursor", w.cursor.text(func(string) bool { return w.owed }))
	}
	return q.Encode()
}

// join opens a connection over the check's transport, and waits until it is in the rooms.
func (r *run) join(w where) (session, error) { return r.joinOver(r.transport, w) }

func (r *run) joinOver(transport string, w where) (session, error) {
	var s session
	var err error
	switch transport {
	case WebSocket:
		s, err = r.openWebSocket(w)
	case SSE:
		s, err = r.openSSE(w)
	default:
		s, err = r.openPoll(w)
	}
	if err != nil {
		return nil, err
	}
	r.open = append(r.open, s)
	return s, nil
}

// begin reads connected, and where that says the rooms stand.
func begin(f frame, w where) (follower, connected, error) {
	var c connected
	if f.Event != "connected" {
		return follower{}, c, fmt.Errorf("the first frame is %.200s, want connected", f.text)
	}
	if err := likeGolden(f); err != nil {
		return follower{}, c, err
	}
	if err := f.into(&c); err != nil {
		return follower{}, c, err
	}
	if c.ConnectionID == "" || c.Heartbeat <= 0 || c.ServerTime <= 0 || c.Rooms == nil {
		return follower{}, c, fmt.Errorf("connected is %.300s, want connectionId, rooms, heartbeat and serverTime", f.text)
	}
	at, owed := cursor{}, map[string]int{}
	for _, room := range c.Rooms {
		owed[room.Room] = room.Retained
		o, err := parseOffset(room.Offset)
		if err != nil {
			return follower{}, c, fmt.Errorf("connected: %s: %w", room.Room, err)
		}
		at[room.Room] = o
	}
	for _, room := range w.rooms {
		if _, in := at[room]; !in {
			return follower{}, c, fmt.Errorf("connected does not have %s, which the query joins: %.300s", room, f.text)
		}
	}
	for room, o := range w.cursor {
		if _, in := at[room]; !in {
			return follower{}, c, fmt.Errorf("connected does not have %s, which is in the cursor: %.300s", room, f.text)
		}
		at[room] = o // what was missed is still to come
		if (owed[room] > 0) != w.owed {
			return follower{}, c, fmt.Errorf("connected says that %d retained events of %s follow, and the cursor asks for them: %v", owed[room], room, w.owed)
		}
	}
	return follower{at, owed}, c, nil
}

// A webSocket is a session over WebSocket.
type webSocket struct {
	follower
	connected
	conn    *websocket.Conn
	ctx     context.Context
	waiting []frame // came while an answer was waited for
}

func (r *run) dial(query string, protocols ...string) (*websocket.Conn, *http.Response, error) {
	header := http.Header{}
	if r.Token != "" && len(protocols) == 0 {
		header.Set("Authorization", "Bearer "+r.Token)
	}
	dialer := websocket.Dialer{Subprotocols: protocols, HandshakeTimeout: r.Timeout}
	return dialer.DialContext(r.ctx, "ws"+strings.TrimPrefix(r.base, "http")+"/ws?"+query, header)
}

func (r *run) openWebSocket(w where) (*webSocket, error) {
	conn, response, err := r.dial(w.query())
	if err != nil {
		if response != nil {
			return nil, fmt.Errorf("the handshake was answered with %s, want 101", response.Status)
		}
		return nil, fmt.Errorf("connect: %w", err)
	}
	s := &webSocket{conn: conn, ctx: r.ctx}
	f, err := s.read()
	if err == nil {
		s.follower, s.connected, err = begin(f, w)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

// read returns the next frame but for heartbeats, not counted yet.
func (s *webSocket) read() (frame, error) {
	for {
		if deadline, ok := s.ctx.Deadline(); ok {
			_ = s.conn.SetReadDeadline(deadline)
		}
		kind, text, err := s.conn.ReadMessage()
		var end *websocket.CloseError
		switch {
		case errors.As(err, &end):
			return frame{}, &ended{end.Code, end.Text}
		case err != nil:
			return frame{}, fmt.Errorf("read: %w", err)
		case kind != websocket.TextMessage:
			return frame{}, fmt.Errorf("a message of kind %d came, want text", kind)
		}
		f, err := parseFrame(text)
		if err != nil || f.Event != "heartbeat" {
			return f, err
		}
	}
}

func (s *webSocket) next() (frame, error) {
	if len(s.waiting) > 0 {
		f := s.waiting[0]
		s.waiting = s.waiting[1:]
		return f, s.take(f)
	}
	f, err := s.read()
	if err != nil {
		return f, err
	}
	return f, s.take(f)
}

func (s *webSocket) send(text string) error {
	if err := s.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

func (s *webSocket) ask(text string) (frame, error) {
	if err := s.send(text); err != nil {
		return frame{}, err
	}
	for {
		f, err := s.read()
		if err != nil || f.Event == "ack" || f.Event == "error" {
			return f, err
		}
		s.waiting = append(s.waiting, f)
	}
}

func (s *webSocket) cursor() cursor { return s.at }
func (s *webSocket) close()         { s.conn.Close() }

// An eventStream is a session over Server-Sent Events.
type eventStream struct {
	follower
	connected
	run    *run
	header http.Header
	body   io.ReadCloser
	lines  *bufio.Reader
	retry  string // of connected
}

func (r *run) openSSE(w where, headers ...string) (*eventStream, error) {
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.base+"/sse?"+w.query(), nil)
	if err != nil {
		return nil, err
	}
	if r.Token != "" {
		request.Header.Set("Authorization", "Bearer "+r.Token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := r.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("GET /sse: %w", withoutURL(err))
	}
	if kind, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";"); response.StatusCode != http.StatusOK || kind != "text/event-stream" {
		response.Body.Close()
		return nil, fmt.Errorf("GET /sse was answered with %s %s, want 200 text/event-stream", response.Status, response.Header.Get("Content-Type"))
	}
	s := &eventStream{run: r, header: response.Header, body: response.Body, lines: bufio.NewReader(response.Body)}
	f, err := s.read()
	if err == nil {
		s.follower, s.connected, err = begin(f, w)
		s.retry = f.retry
	}
	if _, bad := parseCursor(f.eventID); err == nil && (bad != nil || f.eventID == "" && len(s.at) > 0) {
		err = fmt.Errorf("the id of connected is %q, want the cursor", f.eventID)
	}
	if err != nil {
		response.Body.Close()
		return nil, err
	}
	return s, nil
}

// read returns the next event but for heartbeats (the HTML standard, "Server-sent events").
func (s *eventStream) read() (frame, error) {
	name, id, retry := "", "", ""
	var data []string
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return frame{}, fmt.Errorf("the stream broke: %w", err)
		}
		line = strings.TrimRight(line, "\r\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			data = append(data, value)
		case "event":
			name = value
		case "id":
			id = value
		case "retry":
			retry = value
		}
		if line != "" {
			continue
		}
		if data == nil {
			name, id = "", ""
			continue
		}
		text := strings.Join(data, "\n")
		switch name {
		case "close":
			var end struct {
				Code   int
				Reason string
			}
			if err := json.Unmarshal([]byte(text), &end); err != nil {
				return frame{}, fmt.Errorf("the event close has %.200q, want code and reason", text)
			}
			return frame{}, &ended{end.Code, end.Reason}
		case "heartbeat":
			name, id, data = "", "", nil
			continue
		case "":
		default:
			return frame{}, fmt.Errorf("an event is named %q, want none but heartbeat and close", name)
		}
		f, err := parseFrame([]byte(text))
		f.eventID, f.retry = id, retry
		return f, err
	}
}

func (s *eventStream) next() (frame, error) {
	f, err := s.read()
	if err == nil {
		err = s.take(f)
	}
	if err != nil {
		return f, err
	}
	counted := f.isPublished() && (!f.Retained || s.owed[f.Room] == 0) || f.Event == "gap" || f.Event == "conflated"
	switch {
	case !counted && f.eventID != "":
		return f, fmt.Errorf("%.100s has the id %q, want none: it is no part of the counting", f.text, f.eventID)
	case counted && ordered(f.eventID) != s.text():
		return f, fmt.Errorf("the id of the event is %q, want the cursor after it, %s", f.eventID, s.text())
	}
	return f, nil
}

func (s *eventStream) ask(text string) (frame, error) { return s.run.post("/sse", text) }
func (s *eventStream) cursor() cursor                 { return s.at }
func (s *eventStream) close()                         { s.body.Close() }

// post sends a frame by POST.
func (r *run) post(path, text string) (frame, error) {
	a, err := r.do(r.ctx, http.MethodPost, path, r.Token, text)
	if err != nil {
		return frame{}, err
	}
	f, err := parseFrame(a.body)
	if err != nil {
		return f, fmt.Errorf("POST %s: %w", path, err)
	}
	if (f.Event == "ack") != (a.status == http.StatusOK) || f.Event != "ack" && f.Event != "error" {
		return f, fmt.Errorf("POST %s was answered with %d and %.200s, want an ack with 200 or an error with another status", path, a.status, f.text)
	}
	return f, nil
}

// A poller is a session over long polling.
type poller struct {
	follower
	run     *run
	rooms   where
	waiting []frame
}

// A pollAnswer is what a poll is answered with.
type pollAnswer struct {
	Cursor     *string           `json:"cursor"`
	Messages   []json.RawMessage `json:"messages"`
	Node       string            `json:"node"`
	ServerTime int64             `json:"serverTime"`
	RetryAfter int64             `json:"retryAfter"`
}

func (r *run) poll(w where, wait time.Duration) (*pollAnswer, error) {
	a, err := r.do(r.ctx, http.MethodGet, fmt.Sprintf("/poll?wait=%d&%s", wait.Milliseconds(), w.query()), r.Token, "")
	if err != nil {
		return nil, err
	}
	var p pollAnswer
	if err := json.Unmarshal(a.body, &p); err != nil || a.status != http.StatusOK || p.Cursor == nil || p.Messages == nil || p.ServerTime <= 0 {
		return nil, fmt.Errorf("GET /poll was answered with %d %.300s, want 200 with cursor, messages and serverTime", a.status, a.body)
	}
	return &p, nil
}

func (r *run) openPoll(w where) (*poller, error) {
	s := &poller{run: r, rooms: where{rooms: w.rooms, other: w.other, owed: w.owed}, follower: follower{at: cursor{}}}
	for room, o := range w.cursor {
		s.at[room] = o
	}
	if len(w.cursor) > 0 {
		return s, nil
	}
	first, err := r.poll(w, 0)
	if err != nil {
		return nil, err
	}
	if s.at, err = parseCursor(*first.Cursor); err != nil {
		return nil, err
	}
	for _, room := range w.rooms {
		if _, in := s.at[room]; !in {
			return nil, fmt.Errorf("the cursor %q does not have %s, which the query joins", *first.Cursor, room)
		}
	}
	return s, s.add(first)
}

// add takes the messages of an answer.
func (s *poller) add(p *pollAnswer) error {
	for _, text := range p.Messages {
		f, err := parseFrame(text)
		if err != nil {
			return err
		}
		s.waiting = append(s.waiting, f)
	}
	return nil
}

func (s *poller) next() (frame, error) {
	for len(s.waiting) == 0 {
		s.rooms.cursor = s.at
		p, err := s.run.poll(s.rooms, 2*time.Second)
		if err != nil {
			return frame{}, err
		}
		s.rooms.owed = false
		if err := s.add(p); err != nil {
			return frame{}, err
		}
		ahead := follower{at: cursor{}}
		for room, o := range s.at {
			ahead.at[room] = o
		}
		for _, f := range s.waiting {
			if err := ahead.take(f); err != nil {
				return f, err
			}
		}
		if at, err := parseCursor(*p.Cursor); err != nil || at.String() != ahead.at.String() {
			return frame{}, fmt.Errorf("the cursor of the answer is %q, want the one that its messages lead to, %s", *p.Cursor, ahead.at)
		}
	}
	f := s.waiting[0]
	s.waiting = s.waiting[1:]
	return f, s.take(f)
}

func (s *poller) ask(text string) (frame, error) { return s.run.post("/poll", text) }
func (s *poller) cursor() cursor                 { return s.at }
func (s *poller) close()                         {}
