package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// A traveller is a client whose network lets one transport through after the other: it carries
// nothing from one to the next but its cursor. It keeps count of what it was sent.
type traveller struct {
	t      *testing.T
	cursor wire.Cursor // of one room
	got    uint64
}

func (v *traveller) room() wire.Room { return v.cursor[0].Room }

// take takes one frame, which must be the next message of the room.
func (v *traveller) take(over string, event, room, offset string) {
	v.t.Helper()
	if room == "" {
		if event == wire.EventGap || event == wire.EventError {
			v.t.Fatalf("%s: told %s", over, event)
		}
		return
	}
	at, err := wire.ParseOffset(offset)
	last := v.cursor[0].Offset
	if err != nil || at.Epoch != last.Epoch || at.N != last.N+1 {
		v.t.Fatalf("%s: %s came after %s: %v", over, offset, last, err)
	}
	v.cursor.Move(v.room(), at)
	v.got++
}

// webSocket resumes by the query and takes n messages, then breaks the connection.
func (v *traveller) webSocket(base string, n uint64) {
	v.t.Helper()
	conn, _, err := websocket.DefaultDialer.Dial("ws"+base[len("http"):]+"/ws?cursor="+url.QueryEscape(v.cursor.String()), nil)
	testkit.Must(v.t, err)
	defer conn.Close()
	for until := v.got + n; v.got < until; {
		var f frame
		conn.SetReadDeadline(time.Now().Add(patience))
		if err := conn.ReadJSON(&f); err != nil {
			v.t.Fatalf("ws: %v after %d", err, v.got)
		}
		v.take("ws", f.Event, f.Room, f.Offset)
	}
}

// sse resumes by Last-Event-ID and takes n messages, then breaks the connection. Its cursor is the
// id of the last event.
func (v *traveller) sse(through *http.Client, base string, n uint64) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/sse", nil)
	testkit.Must(v.t, err)
	r.Header.Set("Last-Event-ID", v.cursor.String())
	answer, err := through.Do(r)
	testkit.Must(v.t, err)
	defer answer.Body.Close()
	events := transporttest.ReadEvents(answer.Body)
	for until := v.got + n; v.got < until; {
		e, err := events.Next()
		if err != nil {
			v.t.Fatalf("sse: %v after %d", err, v.got)
		}
		v.take("sse", e.Frame.Event, e.Frame.Room, e.Frame.Offset)
		if e.ID != "" && e.ID != v.cursor.String() {
			v.t.Fatalf("sse: the id is %s at %s", e.ID, v.cursor)
		}
	}
}

// poll polls until it has n messages more.
func (v *traveller) poll(base string, n uint64) {
	v.t.Helper()
	for until := v.got + n; v.got < until; {
		ctx, cancel := context.WithTimeout(v.t.Context(), patience)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/poll?wait=5000&cursor="+url.QueryEscape(v.cursor.String()), nil)
		testkit.Must(v.t, err)
		answer, err := http.DefaultClient.Do(r)
		testkit.Must(v.t, err)
		var a struct {
			Cursor   string
			Messages []frame
		}
		err = json.NewDecoder(answer.Body).Decode(&a)
		answer.Body.Close()
		cancel()
		if err != nil || answer.StatusCode != http.StatusOK {
			v.t.Fatalf("poll: %s %v", answer.Status, err)
		}
		for _, f := range a.Messages {
			v.take("poll", f.Event, f.Room, f.Offset)
		}
		if a.Cursor != v.cursor.String() {
			v.t.Fatalf("poll: the cursor is %s at %s", a.Cursor, v.cursor)
		}
	}
}

// turn takes n messages over the transport whose turn it is.
func (v *traveller) turn(turn int, base string, n uint64) {
	v.t.Helper()
	switch turn % 4 {
	case 0:
		v.webSocket(base, n)
	case 1:
		v.sse(http.DefaultClient, base, n)
	case 2:
		v.poll(base, n)
	case 3:
		v.sse(transporttest.HTTP2, base, n)
	}
}

func begin(t *testing.T, at wire.Offset, zone string) *traveller {
	return &traveller{t: t, cursor: wire.Cursor{{Room: wire.Room{Warehouse: "warehouse-1", Zone: zone}, Offset: at}}}
}
