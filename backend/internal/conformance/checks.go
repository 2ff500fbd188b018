package conformance

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// A check is one promise of docs/protocol.md.
type check struct {
	promise    string
	over       []string // transports
	needsToken bool
	hold       func(r *run) error
}

// checks lists all of them.
func checks() []check {
	all, oneWay := []string{WebSocket, SSE, Poll}, []string{SSE, Poll}
	only := func(transport string) []string { return []string{transport} }
	return []check{
		{"publish is answered with room and offset, counted by one", only(HTTP), false, publishCounts},
		{"a batch is answered message by message", only(HTTP), false, batchAnswers},
		{"a wrong publish is answered as a problem with its code", only(HTTP), false, publishProblems},

		{"a connection tells first where its rooms stand", all, false, startsWhereRoomsStand},
		{"events come in order, counted by one, byte for byte", all, false, eventsInOrder},
		{"who comes back gets what it missed, before anything newer", all, false, resumes},
		{"a cursor goes on over another transport", all, false, changesTransport},
		{"an offset of another epoch is answered with a gap and all that is kept", all, false, gapOfEpoch},
		{"an offset ahead of the room is answered with a gap back", all, false, gapBack},
		{"retained events come first to who joins, outside the counting", all, false, retainedFirst},
		{"retained events that are owed are sent again, and then what was missed", all, false, retainedAgain},
		{"a room's events go to its members alone", all, false, membersAlone},
		{"warehouse and zone in the query join both rooms", all, false, joinsBoth},
		{"a malformed cursor or room is refused with 400", all, false, refusesQuery},
		{"frames have the form of the golden frames", all, false, goldenForms},
		{"the golden frames of clients are answered", all, false, goldenRequests},

		{"echo comes back byte for byte, with its id", all, false, echoes},
		{"publish is acknowledged with the offset that its event has", all, false, publishes},
		{"a repeated idempotency key is answered with the first offset, and sent once", all, false, publishesOnce},
		{"an idempotency key of another message is refused", all, false, keyConflict},
		{"a frame that is wrong is answered with its code and id", all, false, wrongFrames},

		{"subscribe is acknowledged before anything of its room, then comes what was missed", only(WebSocket), false, subscribes},
		{"after unsubscribe nothing of the room comes", only(WebSocket), false, unsubscribes},
		{"the subprotocol zonecast is answered", only(WebSocket), false, subprotocol},
		{"a handshake of another version is refused with 426", only(WebSocket), false, wrongVersion},
		{"the eleventh frame in a row that is not the protocol ends with 4400", only(WebSocket), false, endsBadFrames},
		{"a frame over the limit ends with 1009", only(WebSocket), false, endsTooBig},

		{"the stream may not be stored or held back, and says when to come back", only(SSE), false, streamHeaders},
		{"Last-Event-ID counts more than the cursor in the query", only(SSE), false, lastEventID},
		{"wait=0 is answered at once, with the same cursor", only(Poll), false, pollAtOnce},
		{"a poll whose answer was lost can be sent again", only(Poll), false, pollAgain},

		{"without a token a connection ends with 4401, or is refused with 401", all, true, refusesStrangers},
		{"rooms are not chosen by POST", oneWay, false, subscribeByPost},
	}
}

// wantEvent waits for the event at this offset of the check's room.
func (r *run) wantEvent(s session, at offset) (frame, error) {
	f, err := s.next()
	if err != nil {
		return f, fmt.Errorf("waiting for the event at %s: %w", at, err)
	}
	if f.Room != r.room || f.Offset != at.String() || f.Retained {
		return f, fmt.Errorf("%.200s came, want the event at %s of %s", f.text, at, r.room)
	}
	return f, nil
}

// wantNumbered waits for the numbers from first to last, at the offsets that lead to last's.
func (r *run) wantNumbered(s session, first, last int, at offset) error {
	for n := first; n <= last; n++ {
		f, err := r.wantEvent(s, offset{at.epoch, at.n - uint64(last-n)})
		if err != nil {
			return err
		}
		if want := fmt.Sprintf(`{"n":%d}`, n); string(f.Data) != want || f.Event != "E" {
			return fmt.Errorf("the event at %s is %s %s, want E %s", f.Offset, f.Event, f.Data, want)
		}
	}
	return nil
}

// wantGap waits for a gap of the check's room.
func (r *run) wantGap(s session, from, to offset) error {
	f, err := s.next()
	if err != nil {
		return fmt.Errorf("waiting for the gap from %s to %s: %w", from, to, err)
	}
	var g rangeData
	if f.Event != "gap" || f.into(&g) != nil || g != (rangeData{r.room, from.String(), to.String()}) {
		return fmt.Errorf("%.200s came, want a gap of %s from %s to %s", f.text, r.room, from, to)
	}
	return nil
}

func (r *run) inRoom() where { return where{rooms: []string{r.room}} }

func publishCounts(r *run) error {
	first, err := r.publishNumbered(1, 1)
	if err != nil {
		return err
	}
	second, err := r.publishNumbered(2, 2)
	if err != nil {
		return err
	}
	if first.n != 1 || second != first.plus(1) {
		return fmt.Errorf("two events of a new room have the offsets %s and %s, want numbers 1 and 2 of one epoch", first, second)
	}
	key := []string{"Idempotency-Key", "key of " + r.zone}
	third, err := r.publish(r.zone, numbered(3), key...)
	if err != nil {
		return err
	}
	again, err := r.publish(r.zone, numbered(3), key...)
	if err != nil {
		return err
	}
	if third != second.plus(1) || again != third {
		return fmt.Errorf("with a key, and again with it: %s and %s, want %s twice", third, again, second.plus(1))
	}
	return nil
}

func batchAnswers(r *run) error {
	body := fmt.Sprintf(`{"messages":[{"warehouse":%[1]q,"zone":%[2]q,"event":"E","data":1},{"warehouse":"not a name","event":"E"},`+
		`{"warehouse":%[1]q,"zone":%[2]q,"event":"E","data":2}]}`, r.Warehouse, r.zone)
	a, err := r.do(r.ctx, http.MethodPost, "/api/v1/broadcast", r.publisher(), body)
	if err != nil {
		return err
	}
	var got struct {
		Results []struct {
			Room, Offset string
			Error        *errorData
		}
	}
	f := frame{Data: a.body, text: string(a.body)}
	if err := f.into(&got); err != nil || a.status != http.StatusOK || len(got.Results) != 3 {
		return fmt.Errorf("a batch of three was answered with %d %.200s, want 200 and three results", a.status, a.body)
	}
	one, err := parseOffset(got.Results[0].Offset)
	if err != nil {
		return err
	}
	if e := got.Results[1].Error; e == nil || e.Code != "invalid_room" {
		return fmt.Errorf("the result of a malformed warehouse is %.300s, want an error with invalid_room", a.body)
	}
	if two := got.Results[2].Offset; two != one.plus(1).String() {
		return fmt.Errorf("two messages to one room have the offsets %s and %s, want them to follow each other", one, two)
	}
	return nil
}

func publishProblems(r *run) error {
	zone := "/api/v1/warehouses/" + r.Warehouse + "/zones/" + r.zone + "/broadcast"
	for _, tt := range []struct {
		path, body string
		status     int
		code       string
	}{
		{zone, `{"event":"heartbeat"}`, http.StatusBadRequest, "invalid_event"},
		{zone, `{"data":1}`, http.StatusBadRequest, "invalid_event"},
		{zone, `{"event":"E","retian":true}`, http.StatusBadRequest, "invalid_data"},
		{zone, `{"event":"E"`, http.StatusBadRequest, "invalid_data"},
		{zone, `{"event":"E","conflate":"a b"}`, http.StatusBadRequest, "invalid_data"},
		{"/api/v1/warehouses/a%20b/broadcast", `{"event":"E"}`, http.StatusBadRequest, "invalid_room"},
		{"/api/v1/nothing", `{"event":"E"}`, http.StatusNotFound, ""},
	} {
		a, err := r.do(r.ctx, http.MethodPost, tt.path, r.publisher(), tt.body)
		if err != nil {
			return err
		}
		p, err := a.problem()
		if err != nil {
			return fmt.Errorf("POST %s to %s: %w", tt.body, tt.path, err)
		}
		if a.status != tt.status || p.Code != tt.code || p.Status != tt.status || p.Detail == "" {
			return fmt.Errorf("POST %s to %s was answered with %d %.200s, want %d with the code %q and a detail", tt.body, tt.path, a.status, a.body,
				tt.status, tt.code)
		}
	}
	return nil
}

func startsWhereRoomsStand(r *run) error {
	last, err := r.publishNumbered(1, 2)
	if err != nil {
		return err
	}
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	if at := s.cursor()[r.room]; at != last {
		return fmt.Errorf("the room stands at %s, want %s, the last one that was published", at, last)
	}
	return nil
}

func eventsInOrder(r *run) error {
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	data := []string{`{ "a" : 1.0,"b":[1 ,2] }`, `null`, `"\u00e9 é"`, `12345678901234567890.50`, `{"a":1,"a":2}`}
	var at offset
	for _, d := range data {
		if at, err = r.publish(r.zone, `{"event":"E.x-1:y","data":`+d+`}`); err != nil {
			return err
		}
	}
	for i, d := range data {
		f, err := r.wantEvent(s, offset{at.epoch, at.n - uint64(len(data)-1-i)})
		if err != nil {
			return err
		}
		if string(f.Data) != d || f.Event != "E.x-1:y" {
			return fmt.Errorf("%s %s came, want E.x-1:y %s, byte for byte", f.Event, f.Data, d)
		}
	}
	return nil
}

func resumes(r *run) error {
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	at, err := r.publishNumbered(1, 1)
	if err != nil {
		return err
	}
	if err := r.wantNumbered(s, 1, 1, at); err != nil {
		return err
	}
	s.close()
	if at, err = r.publishNumbered(2, 4); err != nil {
		return err
	}
	back, err := r.join(where{rooms: []string{r.room}, cursor: s.cursor()})
	if err != nil {
		return err
	}
	if err := r.wantNumbered(back, 2, 4, at); err != nil {
		return err
	}
	if at, err = r.publishNumbered(5, 5); err != nil {
		return err
	}
	return r.wantNumbered(back, 5, 5, at)
}

func changesTransport(r *run) error {
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	s.close()
	at, err := r.publishNumbered(1, 2)
	if err != nil {
		return err
	}
	order := []string{WebSocket, SSE, Poll}
	other := order[(slices.Index(order, r.transport)+1)%len(order)]
	back, err := r.joinOver(other, where{cursor: s.cursor()})
	if err == nil {
		err = r.wantNumbered(back, 1, 2, at)
	}
	if err != nil {
		return fmt.Errorf("over %s: %w", other, err)
	}
	return nil
}

func gapOfEpoch(r *run) error {
	last, err := r.publishNumbered(1, 2)
	if err != nil {
		return err
	}
	other := offset{"conformance0", 5}
	s, err := r.join(where{cursor: cursor{r.room: other}})
	if err != nil {
		return err
	}
	if err := r.wantGap(s, other, offset{last.epoch, 0}); err != nil {
		return err
	}
	return r.wantNumbered(s, 1, 2, last)
}

func gapBack(r *run) error {
	last, err := r.publishNumbered(1, 2)
	if err != nil {
		return err
	}
	s, err := r.join(where{cursor: cursor{r.room: last.plus(7)}})
	if err != nil {
		return err
	}
	if err := r.wantGap(s, last.plus(7), last); err != nil {
		return err
	}
	if last, err = r.publishNumbered(3, 3); err != nil {
		return err
	}
	return r.wantNumbered(s, 3, 3, last)
}

// publishRetained publishes a retained event and another one, and returns their offsets.
func (r *run) publishRetained() (retained, last offset, err error) {
	if retained, err = r.publish(r.zone, `{"event":"STATE","data":"kept","retain":true}`); err != nil {
		return retained, last, err
	}
	last, err = r.publishNumbered(1, 1)
	return retained, last, err
}

func retainedFirst(r *run) error {
	first, last, err := r.publishRetained()
	if err != nil {
		return err
	}
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	next, err := r.publishNumbered(2, 2)
	if err != nil {
		return err
	}
	f, err := s.next()
	if err != nil {
		return fmt.Errorf("waiting for the retained event: %w", err)
	}
	if f.Event != "STATE" || !f.Retained || f.Offset != first.String() || f.Room != r.room || string(f.Data) != `"kept"` {
		return fmt.Errorf(`%.200s came first, want STATE "kept" at %s with "retained":true`, f.text, first)
	}
	if err := r.wantNumbered(s, 2, 2, next); err != nil {
		return err
	}
	// Who comes back with an offset has it, or gets it in its turn.
	back, err := r.join(where{cursor: cursor{r.room: last}})
	if err != nil {
		return err
	}
	return r.wantNumbered(back, 2, 2, next)
}

func retainedAgain(r *run) error {
	first, last, err := r.publishRetained()
	if err != nil {
		return err
	}
	s, err := r.join(where{cursor: cursor{r.room: first}, owed: true})
	if err != nil {
		return err
	}
	f, err := s.next()
	if err != nil {
		return fmt.Errorf("waiting for the retained event: %w", err)
	}
	if f.Event != "STATE" || !f.Retained || f.Offset != first.String() {
		return fmt.Errorf("%.200s came first, want STATE at %s once more", f.text, first)
	}
	return r.wantNumbered(s, 1, 1, last)
}

func membersAlone(r *run) error {
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	for _, zone := range []string{r.zone + "x", ""} {
		if _, err := r.publish(zone, `{"event":"E","data":"not for this room"}`); err != nil {
			return err
		}
	}
	at, err := r.publishNumbered(1, 1)
	if err != nil {
		return err
	}
	return r.wantNumbered(s, 1, 1, at)
}

func joinsBoth(r *run) error {
	s, err := r.join(where{other: url.Values{"warehouse": {r.Warehouse}, "zone": {r.zone}}})
	if err != nil {
		return err
	}
	whole := "warehouse:" + r.Warehouse
	for _, room := range []string{whole, r.room} {
		if _, in := s.cursor()[room]; !in {
			return fmt.Errorf("the connection is not in %s, only in %s", room, s.cursor())
		}
	}
	at, err := r.publish("", numbered(1))
	if err != nil {
		return err
	}
	for {
		f, err := s.next()
		if err != nil {
			return fmt.Errorf("waiting for the event of %s: %w", whole, err)
		}
		if f.Room == whole && f.Offset == at.String() {
			return nil
		}
	}
}
