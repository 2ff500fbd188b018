package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/wire"
)

// results is the answer to a batch: either room and offset, or an error.
type results struct {
	Results []struct {
		Room, Offset string
		Error        *wire.Error
	}
}

// Each message of a batch stands for itself: the good ones are published in their order, each bad
// one is told why not.
func TestABatchIsAnsweredItemByItem(t *testing.T) {
	s := start(t, auth.Options{}, nil)
	items := []struct {
		give string
		room string         // where it must be
		code wire.ErrorCode // or why it is not
	}{
		{give: `{"warehouse":"w1","zone":"a","event":"E","data":{ "n":1 }}`, room: "zone:w1:a"},
		{give: `{"warehouse":"w1","event":"E"}`, room: "warehouse:w1"},
		{give: `{"zone":"a","event":"E"}`, code: wire.CodeInvalidRoom},
		{give: `{"warehouse":"w1","zone":"a:b","event":"E"}`, code: wire.CodeInvalidRoom},
		{give: `{"warehouse":"w1","zone":"a","event":"gap"}`, code: wire.CodeInvalidEvent},
		{give: `{"warehouse":"w1","zone":"a"}`, code: wire.CodeInvalidEvent},
		{give: `{}`, code: wire.CodeInvalidRoom},
		{give: `{"warehouse":"w1","zone":"a","event":"E","data":"` + strings.Repeat("x", dataLimit) + `"}`, code: wire.CodeTooLarge},
		{give: `"x"`, code: wire.CodeInvalidData},
		{give: `null`, code: wire.CodeInvalidData},
		{give: `{"warehouse":"w1","zone":"a","event":5}`, code: wire.CodeInvalidData},
		{give: `{"warehouse":"w1","zoen":"a","event":"E"}`, code: wire.CodeInvalidData},
		{give: `{"warehouse":"w1","zone":"","event":"E"}`, code: wire.CodeInvalidRoom},
		{give: `{"warehouse":"w1","zone":null,"event":"E"}`, code: wire.CodeInvalidRoom},
		{give: `{"warehouse":"w1","zone":"a","event":"E","data":2,"idempotencyKey":"k"}`, room: "zone:w1:a"},
		{give: `{"warehouse":"w1","zone":"a","event":"E","data":2,"idempotencyKey":"k"}`, room: "zone:w1:a"}, // the same again
		{give: `{"warehouse":"w1","zone":"a","event":"E","data":3,"idempotencyKey":"k"}`, code: wire.CodeIdempotencyConflict},
		{give: `{"warehouse":"w1","zone":"a","event":"E","idempotencyKey":"` + strings.Repeat("k", 256) + `"}`, code: wire.CodeInvalidData},
		{give: `{"warehouse":"w1","zone":"a","event":"R1","retain":true}`, room: "zone:w1:a"},
		{give: `{"warehouse":"w1","zone":"a","event":"R2","retain":true}`, room: "zone:w1:a"},
		{give: `{"warehouse":"w1","zone":"a","event":"R3","retain":true}`, code: wire.CodeLimitReached},
	}
	var all []string
	for _, item := range items {
		all = append(all, item.give)
	}
	got := wantJSON[results](t, s.do(request{path: toMany, body: `{"messages":[` + strings.Join(all, ",") + `]}`}), http.StatusOK)
	if len(got.Results) != len(items) {
		t.Fatalf("%d answers to %d messages", len(got.Results), len(items))
	}
	for i, item := range items {
		r := got.Results[i]
		switch {
		case item.code != "":
			if r.Error == nil || r.Error.Code != item.code || r.Error.Message == "" || r.Room != "" || r.Offset != "" {
				t.Errorf("message %d %.80s was answered with %+v %+v, want the code %s", i, item.give, r, r.Error, item.code)
			}
		case r.Error != nil || r.Room != item.room || r.Offset == "":
			t.Errorf("message %d %.80s was answered with %+v %+v, want an offset of %s", i, item.give, r, r.Error, item.room)
		}
	}
	if got.Results[14].Offset != got.Results[15].Offset {
		t.Errorf("the repetition got the offset %s, the first %s", got.Results[15].Offset, got.Results[14].Offset)
	}
	var data []string
	for _, m := range s.kept(zone) {
		data = append(data, m.Event+string(m.Data))
	}
	if want := `[E{ "n":1 } E2 R1 R2]`; fmt.Sprint(data) != want {
		t.Errorf("the zone has %v, want %s", data, want)
	}
	if ok, duplicate := s.counted("zonecast_publishes_total", "result=ok", "via=http"),
		s.counted("zonecast_publishes_total", "result=duplicate", "via=http"); ok != 5 || duplicate != 1 {
		t.Errorf("%v ok and %v duplicates were counted, want 5 and 1", ok, duplicate)
	}
}

func TestABatchKeepsItsOrder(t *testing.T) {
	const n = 200
	s := start(t, auth.Options{}, nil)
	batch := batchOf(n, `{"warehouse":"w1","zone":"a","event":"E","data":1}`)
	got := wantJSON[results](t, s.do(request{path: toMany, body: batch}), http.StatusOK)
	if len(got.Results) != n {
		t.Fatalf("%d answers to %d messages", len(got.Results), n)
	}
	for i, r := range got.Results {
		if r.Error != nil || !strings.HasSuffix(r.Offset, fmt.Sprint("-", i+1)) {
			t.Fatalf("message %d was answered with %+v", i, r)
		}
	}
}
