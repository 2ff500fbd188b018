package transport_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

func request(query string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/sse", nil)
	r.URL.RawQuery = query
	return r
}

func TestAQueryNamesEachRoomOnceAndWhereTheClientStands(t *testing.T) {
	tests := []struct{ name, query, last, want string }{
		{name: "nothing", query: "", want: ""},
		{name: "a zone with its warehouse", query: "warehouse=w&zone=a", want: "warehouse:w@ zone:w:a@"},
		{name: "further rooms", query: "room=zone:x:b&room=warehouse:y", want: "zone:x:b@ warehouse:y@"},
		{name: "a room named three times", query: "warehouse=w&room=warehouse:w&cursor=warehouse:w@k-3", want: "warehouse:w@k-3"},
		{name: "a cursor alone", query: "cursor=zone:w:a@k-17,warehouse:w@k-3", want: "zone:w:a@k-17 warehouse:w@k-3"},
		{name: "a cursor for some", query: "warehouse=w&zone=a&cursor=zone:w:a@k-17", want: "warehouse:w@ zone:w:a@k-17"},
		{name: "an empty cursor is none", query: "room=warehouse:w&cursor=", want: "warehouse:w@"},
		{name: "the last event counts more", query: "cursor=zone:w:a@k-17", last: "zone:w:a@k-20,warehouse:w@k-4",
			want: "zone:w:a@k-20 warehouse:w@k-4"},
		{name: "an empty last event is none", query: "cursor=zone:w:a@k-17", last: "", want: "zone:w:a@k-17"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.query)
			r.Header.Set("Last-Event-ID", tt.last)
			q, err := transport.ParseQuery(r)
			testkit.Must(t, err)
			var got []string
			for _, j := range q.Joins {
				got = append(got, j.Room.String()+"@"+j.After.String())
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("the rooms are %v, want %s", got, tt.want)
			}
		})
	}
}

func TestAQueryThatCanNotBeReadSaysWhatToChange(t *testing.T) {
	many := url.Values{}
	for i := range wire.RoomsPerConnection + 1 {
		many.Add("room", fmt.Sprint("warehouse:w", i))
	}
	tests := []struct {
		name, query string
		code        wire.ErrorCode
		want        string
	}{
		{"an escape", "warehouse=%zz", wire.CodeInvalidData, "percent-encoded"},
		{"a user", "userId=" + strings.Repeat("u", 129), wire.CodeInvalidData, "at most 128"},
		{"a zone alone", "zone=a", wire.CodeInvalidRoom, "warehouse is missing"},
		{"a room", "room=w1", wire.CodeInvalidRoom, "write warehouse:{warehouse}"},
		{"a cursor", "cursor=k3f9-17", wire.CodeInvalidOffset, "as you received it"},
		{"an offset in a cursor", "cursor=warehouse:w@k3f9-017", wire.CodeInvalidOffset, "does not end with an offset"},
		{"too many rooms", many.Encode(), wire.CodeLimitReached, "at most 128"},
		{"too many rooms of room and cursor", "cursor=warehouse:x@k-1&" + many.Encode()[:strings.LastIndex(many.Encode(), "&")],
			wire.CodeLimitReached, "at most 128"},
		{"too many parameters", strings.Repeat("a&", 256), wire.CodeLimitReached, "at most 256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := transport.ParseQuery(request(tt.query))
			if e := wire.AsError(err); err == nil || e.Code != tt.code || !strings.Contains(e.Message, tt.want) {
				t.Errorf("got %v, want %s with %q", err, tt.code, tt.want)
			}
		})
	}
}

// Strangers are read too: what the longest query costs is in proportion to its length, whatever is
// in it.
func TestLongQueriesAreRefusedBeforeTheyCost(t *testing.T) {
	const length = 48 << 10 // of the whole header, at most
	rooms := make([]string, length/len("room=warehouse:w1000&"))
	for i := range rooms {
		rooms[i] = fmt.Sprint("room=warehouse:w", 1000+i)
	}
	distinct := strings.Join(rooms, "&")
	for name, query := range map[string]string{
		"distinct rooms": distinct,
		"a room of 128 again and again": strings.Join(rooms[:wire.RoomsPerConnection], "&") +
			strings.Repeat("&"+rooms[wire.RoomsPerConnection-1], len(rooms)-wire.RoomsPerConnection),
	} {
		r := request(query)
		reading, parsing := fastest(func() { _, _ = url.ParseQuery(query) }), fastest(func() { _, _ = transport.ParseQuery(r) })
		if parsing > 2*reading {
			t.Errorf("%s: it takes %v, and only %v to read it", name, parsing, reading)
		}
	}
	s := startAll(t, auth.Options{})
	for name, try := range connect {
		for _, query := range []string{distinct + "&room=none", strings.Repeat("&room=warehouse:w", 256)} {
			if got := try(t, s, query, ""); got.code != wire.CodeLimitReached || !strings.Contains(got.message, "at most 128 rooms") {
				t.Errorf("%s: a query of %d bytes: %+v", name, len(query), got)
			}
		}
	}
}

// fastest is what f takes when nobody is in its way.
func fastest(f func()) time.Duration {
	best := time.Hour
	for range 20 {
		began := time.Now()
		f()
		best = min(best, time.Since(began))
	}
	return best
}

// Whatever a stranger writes into the address is refused with a sentence, or names valid rooms,
// each once and not too many.
func FuzzParseQuery(f *testing.F) {
	f.Add("warehouse=w&zone=a&userId=u&room=warehouse:x&cursor=zone:w:a@k3f9-17", "zone:w:a@k3f9-18")
	f.Add("cursor=%00&room=&room=zone", "")
	f.Add(strings.Repeat("room=warehouse:w&", 300), "@,@")
	f.Fuzz(func(t *testing.T, query, last string) {
		r := request(query)
		r.Header["Last-Event-Id"] = []string{last}
		q, err := transport.ParseQuery(r)
		if err != nil {
			if e := wire.AsError(err); e.Code == wire.CodeInternal || e.Message == "" {
				t.Fatalf("%q %q: %v", query, last, err)
			}
			return
		}
		seen := map[wire.Room]bool{}
		for _, j := range q.Joins {
			if again, err := wire.ParseRoom(j.Room.String()); err != nil || again != j.Room || seen[j.Room] {
				t.Fatalf("%q %q: room %q: %v", query, last, j.Room, err)
			}
			seen[j.Room] = true
		}
		if len(q.Joins) > wire.RoomsPerConnection || len(q.User) > 128 {
			t.Fatalf("%q %q: %d rooms, a user of %d bytes", query, last, len(q.Joins), len(q.User))
		}
	})
}
