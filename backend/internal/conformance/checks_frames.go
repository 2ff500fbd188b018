package conformance

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// wantAck asks, and returns the ack with this id.
func wantAck(s session, id int64, text string) (frame, error) {
	f, err := s.ask(text)
	if err != nil {
		return f, err
	}
	if f.Event != "ack" || f.ID == nil || *f.ID != id {
		return f, fmt.Errorf("%.200s was answered with %.200s, want an ack with the id %d", text, f.text, id)
	}
	return f, nil
}

// wantPosition asks, and returns the offset of the check's room in the ack.
func (r *run) wantPosition(s session, id int64, text string) (offset, error) {
	f, err := wantAck(s, id, text)
	if err != nil {
		return offset{}, err
	}
	var at struct{ Room, Offset string }
	if err := f.into(&at); err != nil || at.Room != r.room {
		return offset{}, fmt.Errorf("%.200s was answered with %.200s, want the room %s", text, f.text, r.room)
	}
	return parseOffset(at.Offset)
}

// wantError asks, and wants an error with this code; with the id, unless it is nil.
func wantError(s session, text string, code string, id *int64) error {
	f, err := s.ask(text)
	if err != nil {
		return fmt.Errorf("%.200s: %w", text, err)
	}
	var e errorData
	if err := f.into(&e); err != nil || f.Event != "error" || e.Code != code || e.Message == "" {
		return fmt.Errorf("%.200s was answered with %.200s, want an error with the code %s and a message", text, f.text, code)
	}
	if (f.ID == nil) != (id == nil) || id != nil && *f.ID != *id {
		return fmt.Errorf("%.200s was answered with %.200s, want the id of the frame", text, f.text)
	}
	return nil
}

// wantEnd waits for the end of the connection.
func wantEnd(s *webSocket, code int) error {
	for {
		_, err := s.read()
		var end *ended
		switch {
		case errors.As(err, &end) && end.code == code:
			return nil
		case err != nil:
			return fmt.Errorf("%w; want the close code %d", err, code)
		}
	}
}

// target names the check's zone in a frame's data.
func (r *run) target() string { return fmt.Sprintf(`"warehouse":%q,"zone":%q`, r.Warehouse, r.zone) }

func echoes(r *run) error {
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	for i, data := range []string{`{ "a" : [1.0 ,"\u00e9"] }`, `null`, `"x"`} {
		id := int64(i) - 1 // of 64 bits, with a sign
		f, err := wantAck(s, id, fmt.Sprintf(`{"event":"echo","data":%s,"id":%d}`, data, id))
		if err != nil {
			return err
		}
		if string(f.Data) != data {
			return fmt.Errorf("echo %s came back as %s", data, f.Data)
		}
	}
	return nil
}

func publishes(r *run) error {
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	at, err := r.wantPosition(s, 5, `{"event":"publish","data":{`+r.target()+`,"event":"E","data":{"n":1}},"id":5}`)
	if err != nil {
		return err
	}
	return r.wantNumbered(s, 1, 1, at)
}

func publishesOnce(r *run) error {
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	text := `{"event":"publish","data":{` + r.target() + `,"event":"E","data":{"n":1},"idempotencyKey":"once"},"id":6}`
	first, err := r.wantPosition(s, 6, text)
	if err != nil {
		return err
	}
	again, err := r.wantPosition(s, 6, text)
	if err != nil {
		return err
	}
	if first != again {
		return fmt.Errorf("the key was answered with %s, and then with %s", first, again)
	}
	last, err := r.publishNumbered(2, 2)
	if err != nil {
		return err
	}
	if last != first.plus(1) {
		return fmt.Errorf("the next event has the offset %s after %s: the repeated one was published", last, first)
	}
	return r.wantNumbered(s, 1, 2, last)
}

func keyConflict(r *run) error {
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	text := `{"event":"publish","data":{` + r.target() + `,"event":"E","data":%d,"idempotencyKey":"once"},"id":%[1]d}`
	if _, err := r.wantPosition(s, 1, fmt.Sprintf(text, 1)); err != nil {
		return err
	}
	id := int64(2)
	return wantError(s, fmt.Sprintf(text, id), "idempotency_conflict", &id)
}

func wrongFrames(r *run) error {
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	id := int64(7)
	for _, tt := range []struct {
		give, want string
		id         *int64
	}{
		{`nonsense`, "bad_frame", nil},
		{`["event"]`, "bad_frame", nil},
		{`{"data":1}`, "bad_frame", nil},
		{`{"event":"echo","id":1.5}`, "bad_frame", nil},
		{`{"event":"shout","data":1,"id":7}`, "unknown_event", &id},
		{`{"event":"publish","data":{` + r.target() + `,"event":"gap"},"id":7}`, "invalid_event", &id},
		{`{"event":"publish","data":{` + r.target() + `,"event":"E","retain":true},"id":7}`, "invalid_data", &id},
		{`{"event":"publish","data":{"warehouse":"w","zone":"","event":"E"},"id":7}`, "invalid_room", &id},
		{`{"event":"publish","data":{"event":"E"},"id":7}`, "invalid_room", &id},
		{`{"event":"publish","id":7}`, "invalid_data", &id},
	} {
		if err := wantError(s, tt.give, tt.want, tt.id); err != nil {
			return err
		}
	}
	if r.transport != WebSocket {
		return nil
	}
	if err := wantError(s, `{"event":"subscribe","data":{`+r.target()+`,"offset":"nonsense"},"id":7}`, "invalid_offset", &id); err != nil {
		return err
	}
	return wantError(s, fmt.Sprintf(`{"event":"unsubscribe","data":{"warehouse":%q,"zone":"elsewhere"},"id":7}`, r.Warehouse), "not_subscribed", &id)
}

func subscribeByPost(r *run) error {
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	id := int64(7)
	return wantError(s, `{"event":"subscribe","data":{`+r.target()+`},"id":7}`, "unknown_event", &id)
}

func subscribes(r *run) error {
	last, err := r.publishNumbered(1, 3)
	if err != nil {
		return err
	}
	s, err := r.openWebSocket(where{})
	if err != nil {
		return err
	}
	r.open = append(r.open, s)
	from := offset{last.epoch, 1}
	at, err := r.wantPosition(s, 3, fmt.Sprintf(`{"event":"subscribe","data":{%s,"offset":%q},"id":3}`, r.target(), from))
	if err != nil {
		return err
	}
	if len(s.waiting) > 0 {
		return fmt.Errorf("%.200s came before the ack of subscribe", s.waiting[0].text)
	}
	if at != last {
		return fmt.Errorf("the ack says that the room is at %s, want %s", at, last)
	}
	s.at[r.room] = from
	return r.wantNumbered(s, 2, 3, last)
}

func unsubscribes(r *run) error {
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	f, err := wantAck(s, 4, `{"event":"unsubscribe","data":{`+r.target()+`},"id":4}`)
	if err != nil {
		return err
	}
	var left struct{ Room string }
	if err := f.into(&left); err != nil || left.Room != r.room {
		return fmt.Errorf("unsubscribe was answered with %.200s, want the room %s", f.text, r.room)
	}
	if _, err := r.publishNumbered(1, 2); err != nil {
		return err
	}
	if _, err := wantAck(s, 9, `{"event":"echo","data":1,"id":9}`); err != nil {
		return err
	}
	for _, f := range s.(*webSocket).waiting {
		return fmt.Errorf("%.200s came after unsubscribe was acknowledged", f.text)
	}
	return nil
}

func subprotocol(r *run) error {
	protocols := []string{"zonecast"}
	if r.Token != "" {
		protocols = append(protocols, r.Token) // as browsers send it
	}
	conn, response, err := r.dial(r.inRoom().query(), protocols...)
	if err != nil {
		if response != nil {
			return fmt.Errorf("the handshake was answered with %s, want 101", response.Status)
		}
		return err
	}
	defer conn.Close()
	if conn.Subprotocol() != "zonecast" {
		return fmt.Errorf("the subprotocol is %q, want zonecast", conn.Subprotocol())
	}
	s := &webSocket{conn: conn, ctx: r.ctx}
	f, err := s.read()
	if err == nil && f.Event != "connected" {
		err = fmt.Errorf("%.200s came first, want connected", f.text)
	}
	return err
}

func wrongVersion(r *run) error {
	a, err := r.do(r.ctx, http.MethodGet, "/ws", r.Token, "")
	if err != nil {
		return err
	}
	if a.status != http.StatusUpgradeRequired {
		return fmt.Errorf("GET /ws without a handshake was answered with %d, want 426", a.status)
	}
	return nil
}

func endsBadFrames(r *run) error {
	s, err := r.openWebSocket(r.inRoom())
	if err != nil {
		return err
	}
	r.open = append(r.open, s)
	for n := range 10 {
		if err := wantError(s, "nonsense", "bad_frame", nil); err != nil {
			return fmt.Errorf("frame %d that is not the protocol: %w", n+1, err)
		}
	}
	if err := s.send("nonsense"); err != nil {
		return err
	}
	return wantEnd(s, 4400)
}

func endsTooBig(r *run) error {
	s, err := r.openWebSocket(r.inRoom())
	if err != nil {
		return err
	}
	r.open = append(r.open, s)
	if s.Limits == nil || s.Limits.FrameBytes <= 0 {
		return errors.New("connected has no limits, want frameBytes")
	}
	if err := s.send(`{"event":"echo","data":"` + strings.Repeat("x", s.Limits.FrameBytes) + `"}`); err != nil {
		return err
	}
	return wantEnd(s, 1009)
}
