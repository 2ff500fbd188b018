package subscribe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// connectTimeout is how long the first frame may take.
	connectTimeout = 10 * time.Second
	// silentHeartbeats is after how many intervals without a byte the connection is dead.
	silentHeartbeats = 2
)

// errSilent says that nothing came for so long that the connection is dead.
var errSilent = errors.New("the server was silent for too long")

// connection passes on what one connection brings, and returns why it ended, and whether it was
// accepted before.
func (s *Subscription) connection(ctx context.Context, yield func(Event, error) bool) (connected bool, err error) {
	token, err := s.freshToken(ctx)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := connectTimeout
	// The loop may take its time: only reading is timed.
	silence := time.AfterFunc(patience, func() { cancel(errSilent) })
	defer silence.Stop()
	body, err := s.open(ctx, token)
	if err != nil {
		return false, cmpCause(ctx, err)
	}
	defer body.Close()
	events := newReader(body)
	var after time.Duration // what drain asked for
	for {
		silence.Reset(patience)
		name, data, err := events.next()
		silence.Stop()
		switch {
		case err != nil:
			return connected, withWait(cmpCause(ctx, err), after)
		case name == "close":
			return connected, withWait(closed(data), after)
		}
		frame, err := wire.DecodeServer(data)
		if err != nil {
			return connected, err
		}
		switch frame.Event {
		case wire.EventConnected:
			var c wire.Connected
			if err := json.Unmarshal(frame.Data, &c); err != nil {
				return connected, fmt.Errorf("read connected: %w", err)
			}
			connected = true
			if c.Heartbeat > 0 {
				patience = silentHeartbeats * time.Duration(c.Heartbeat) * time.Millisecond
			}
			for _, p := range c.Rooms {
				s.joined(p)
			}
			s.log.Info("connected to Zonecast", "node", c.Node, "connection", c.ConnectionID)
		case wire.EventDrain:
			var d wire.Drain
			if json.Unmarshal(frame.Data, &d) == nil {
				after = time.Duration(d.RetryAfter) * time.Millisecond
			}
		case wire.EventError:
			s.log.Warn("Zonecast reports an error", "data", string(frame.Data))
		default:
			if err := s.pass(frame, yield); err != nil {
				return connected, err
			}
		}
	}
}

// freshToken returns the token for a connection, if there is one. The time that it takes is not the
// server's.
func (s *Subscription) freshToken(ctx context.Context) (token string, err error) {
	if s.token == nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("no token within %v", connectTimeout))
	defer cancel()
	if token, err = s.token(ctx); err == nil && token == "" {
		err = errors.New("it returned none")
	}
	if err != nil {
		return "", fmt.Errorf("the token function failed: %w", cmpCause(ctx, err))
	}
	return token, nil
}

// open asks for the stream. The error is an *Error when the server refuses.
func (s *Subscription) open(ctx context.Context, token string) (io.ReadCloser, error) {
	query := url.Values{}
	for _, room := range s.rooms {
		if s.at(room).IsZero() {
			query.Add("room", room.String())
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/sse?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if cursor := s.Cursor(); cursor != "" {
		r.Header.Set("Last-Event-ID", cursor)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.http.Do(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, readError(response)
	}
	return response.Body, nil
}

// pass passes a frame on to the loop, and notes that it was handled.
func (s *Subscription) pass(frame wire.ServerFrame, yield func(Event, error) bool) error {
	events, to, err := s.read(frame)
	if err != nil {
		return err
	}
	for _, e := range events {
		if !yield(e, nil) {
			return errStopped
		}
	}
	if len(events) > 0 {
		s.handled(events[0], to)
	}
	return nil
}

// read returns what the loop gets of a frame, and where it stands then; nothing for what it has
// had.
func (s *Subscription) read(frame wire.ServerFrame) (events []Event, to wire.Offset, err error) {
	if frame.Event == wire.EventGap || frame.Event == wire.EventConflated {
		var g wire.Gap // conflated has the same fields
		if err := json.Unmarshal(frame.Data, &g); err != nil {
			return nil, to, fmt.Errorf("read %s: %w", frame.Event, err)
		}
		e := Event{Kind: Gap}
		if frame.Event == wire.EventConflated {
			e.Kind = Conflated
		}
		var errs [3]error
		e.Room, errs[0] = wire.ParseRoom(g.Room)
		e.From, errs[1] = wire.ParseOffset(g.From)
		e.To, errs[2] = wire.ParseOffset(g.To)
		return []Event{e}, e.To, errors.Join(errs[:]...)
	}
	if frame.Room == "" { // of the protocol, and newer than this program
		return nil, to, nil
	}
	e := Event{Kind: Message, Name: frame.Event, Time: time.UnixMilli(frame.Time), Retained: frame.Retained, Data: frame.Data}
	if e.Room, err = wire.ParseRoom(frame.Room); err != nil {
		return nil, to, err
	}
	if e.Offset, err = wire.ParseOffset(frame.Offset); err != nil {
		return nil, to, err
	}
	at := s.at(e.Room)
	switch {
	case e.Retained:
		return []Event{e}, to, nil
	case at.Epoch == e.Offset.Epoch && e.Offset.N <= at.N: // had it
		return nil, to, nil
	case !at.IsZero() && e.Offset != at.Next(): // the server owes a gap; say it in its place
		missing := Event{Kind: Gap, Room: e.Room, From: at, To: wire.Offset{Epoch: e.Offset.Epoch, N: e.Offset.N - 1}}
		return []Event{missing, e}, e.Offset, nil
	}
	return []Event{e}, e.Offset, nil
}

// cmpCause returns why ctx ended, if it did; else err.
func cmpCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
