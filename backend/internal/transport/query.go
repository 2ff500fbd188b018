package transport

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// A Query is what the parameters of a request ask for; they are the same for all transports.
type Query struct {
	// Joins are the rooms, each once: those of warehouse and zone, of room, and of the cursor, with
	// where the client stands in those that the cursor names.
	Joins []hub.Join
	User  string
	// implied is the room of the warehouse where it is joined only because a zone of it is; else
	// no room.
	implied wire.Room
}

// maxUser is the most bytes of ?userId=, which operators see and the connection keeps.
const maxUser = 128

// maxParameters is the most parameters of a query, which strangers send: all rooms that a
// connection may be in, twice.
const maxParameters = 2 * wire.RoomsPerConnection

// ParseQuery reads ?warehouse=&zone=&userId=&room=&cursor=, and the header Last-Event-ID, which
// counts more than the cursor: a browser's EventSource that comes back by itself sends it to the
// address of the beginning. Polyfills that can't set a header send it as a parameter, lastEventId
// or Last-Event-ID in any case of letters, which counts less than the header. The error is a
// *wire.Error.
func ParseQuery(r *http.Request) (Query, error) {
	if n := strings.Count(r.URL.RawQuery, "&") + 1; n > maxParameters {
		return Query{}, wire.Errorf(wire.CodeLimitReached, "the query has %d parameters: at most %d are allowed, and a connection may be in at most %d rooms",
			n, maxParameters, wire.RoomsPerConnection)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return Query{}, wire.Errorf(wire.CodeInvalidData, "the query can't be read: write it as ?warehouse=…&zone=…, percent-encoded")
	}
	// What the connection keeps of it must not keep all of the request.
	q := Query{User: strings.Clone(values.Get("userId"))}
	if n := len(q.User); n > maxUser {
		return Query{}, wire.Errorf(wire.CodeInvalidData, "userId has %d bytes: at most %d are allowed", n, maxUser)
	}
	if err := q.addNamed(values); err != nil {
		return Query{}, err
	}
	text := cmp.Or(r.Header.Get("Last-Event-ID"), lastEventID(values), values.Get("cursor"))
	cursor, err := wire.ParseCursor(strings.Clone(text))
	if err != nil {
		return Query{}, err
	}
	for _, p := range cursor {
		if err := q.add(p.Room); err != nil {
			return Query{}, err
		}
	}
	for i, j := range q.Joins {
		at := cursor.At(j.Room)
		q.Joins[i].After, q.Joins[i].Retained = at.Offset, at.Retained > 0
	}
	return q, nil
}

// lastEventID is that of polyfills: the last one, where they appended it to an address that has
// one.
func lastEventID(values url.Values) (last string) {
	for name, all := range values {
		if strings.EqualFold(name, "lastEventId") || strings.EqualFold(name, "Last-Event-ID") {
			last = cmp.Or(all[len(all)-1], last)
		}
	}
	return last
}

// addNamed adds the rooms of warehouse, zone and room.
func (q *Query) addNamed(values url.Values) error {
	if warehouse, zone := strings.Clone(values.Get("warehouse")), strings.Clone(values.Get("zone")); warehouse != "" || zone != "" {
		whole, err := wire.NewRoom(warehouse, "")
		if err != nil {
			return err
		}
		_ = q.add(whole) // the first two are not too many
		if zone != "" {
			part, err := wire.NewRoom(warehouse, zone)
			if err != nil {
				return err
			}
			_ = q.add(part)
			q.implied = whole
		}
	}
	for _, name := range values["room"] {
		room, err := wire.ParseRoom(strings.Clone(name))
		if err != nil {
			return err
		}
		if err := q.add(room); err != nil {
			return err
		}
	}
	return nil
}

// add adds a room, once, or refuses it, so that no query costs more than a connection may be in.
func (q *Query) add(room wire.Room) error {
	if room == q.implied {
		q.implied = wire.Room{} // it is named as well
	}
	switch {
	case slices.ContainsFunc(q.Joins, func(j hub.Join) bool { return j.Room == room }):
		return nil
	case len(q.Joins) == wire.RoomsPerConnection:
		return wire.Errorf(wire.CodeLimitReached, "the query names more than %[1]d rooms: a connection may be in at most %[1]d", wire.RoomsPerConnection)
	}
	q.Joins = append(q.Joins, hub.Join{Room: room})
	return nil
}

// Cursor returns where the client stands once it is told that it joined, when the rooms stood at
// these places: where it said, or else at the newest message. It has no retained events yet.
func (q Query) Cursor(places wire.Cursor) wire.Cursor {
	c := slices.Clone(places)
	for i, j := range q.Joins {
		c[i].Offset = cmp.Or(j.After, c[i].Offset)
	}
	return c
}
