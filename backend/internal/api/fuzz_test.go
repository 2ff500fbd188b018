package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// Whatever a stranger posts: it is published as it was sent, or refused with a problem that is the
// caller's.
func FuzzBroadcast(f *testing.F) {
	f.Add("w1", "a", []byte(`{"event":"ALERT","data":{"a":1},"retain":true}`), "key")
	f.Add("w1", "a:b", []byte(`{"event":"ALERT"}`), "")
	f.Add("", "", []byte(`{"event":"gap","data":null}`), "\x00")
	f.Add("ü", "%2F", []byte("{\"event\":\"E\",\"data\":\"\xff\"}"), "k")
	f.Add("w", "z", []byte(`[[[[`), "")
	s := start(f, auth.Options{}, nil)
	f.Fuzz(func(t *testing.T, warehouse, zone string, body []byte, key string) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.URL = &url.URL{Path: "/api/v1/warehouses/" + warehouse + "/zones/" + zone + "/broadcast"}
		r.Header.Set("Content-Type", "application/json")
		r.Header["Idempotency-Key"] = []string{key}
		w := httptest.NewRecorder()
		s.echo.ServeHTTP(w, r)
		answer := w.Result()
		switch answer.StatusCode {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusNotFound, http.StatusConflict,
			http.StatusTooManyRequests:
			wantProblem(t, answer, answer.StatusCode, "", "")
			return
		}
		position := wantJSON[wire.Position](t, answer, http.StatusOK)
		room, err := wire.ParseRoom(position.Room)
		if err != nil || room != (wire.Room{Warehouse: warehouse, Zone: zone}) || room.Zone == "" {
			t.Fatalf("published to %s %v", position.Room, err)
		}
		offset, err := wire.ParseOffset(position.Offset)
		testkit.Must(t, err)
		var sent struct {
			Event string
			Data  json.RawMessage
		}
		if err := json.Unmarshal(body, &sent); err != nil {
			t.Fatalf("published what is not JSON: %v", err)
		}
		after := offset
		after.N--
		page, err := s.broker.History(t.Context(), room, after, 1)
		testkit.Must(t, err)
		if key == "" && (page.Gap != nil || page.Messages[0].Event != sent.Event || !bytes.Equal(page.Messages[0].Data, sent.Data)) {
			t.Fatalf("%s became %+v", body, page)
		}
	})
}

// Whatever a stranger posts as a batch: each message gets its own answer, or the whole is refused.
func FuzzBatch(f *testing.F) {
	f.Add([]byte(`{"messages":[{"warehouse":"w","event":"E","data":1},{"warehouse":"w","zone":"z","event":"E","idempotencyKey":"k"},{}]}`))
	f.Add([]byte(`{"messages":null}`))
	f.Add([]byte(`{"messages":[null,1]}`))
	f.Add([]byte(`{"Messages":[{"Warehouse":"w"}],"messages":[]}`))
	s := start(f, auth.Options{}, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, toMany, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.echo.ServeHTTP(w, r)
		answer := w.Result()
		if answer.StatusCode == http.StatusBadRequest || answer.StatusCode == http.StatusRequestEntityTooLarge {
			wantProblem(t, answer, answer.StatusCode, "", "")
			return
		}
		got := wantJSON[results](t, answer, http.StatusOK)
		for i, r := range got.Results {
			if (r.Error == nil) == (r.Offset == "") || r.Error != nil && (r.Error.Code == wire.CodeInternal || r.Error.Message == "") {
				t.Fatalf("answer %d is %+v %+v", i, r, r.Error)
			}
		}
	})
}

// Whatever an operator asks the list of connections for: it is a list, or a problem with the query.
func FuzzConnectionsQuery(f *testing.F) {
	for _, query := range []string{"", "warehouse=w1&zone=a&userId=u&slow=true&limit=5&after=c-1", "limit=0", "limit=-1", "limit=99999999999999999999",
		"slow=maybe", "zone=a", "warehouse=a:b", "after=%00", "%zz", "a;b"} {
		f.Add(query)
	}
	s := start(f, auth.Options{}, nil)
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/connections", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		s.echo.ServeHTTP(w, r)
		if w.Code == http.StatusBadRequest {
			wantProblem(t, w.Result(), http.StatusBadRequest, "", "")
			return
		}
		got := wantJSON[struct {
			connadmin.Page
			connadmin.FanOut
		}](t, w.Result(), http.StatusOK)
		if got.Connections == nil || len(got.Connections) > got.Total {
			t.Errorf("%d of %d connections", len(got.Connections), got.Total)
		}
	})
}
