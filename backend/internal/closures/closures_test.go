package closures

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// An instance is a hub with a ring.
type instance struct {
	Handler
	hub  *hub.Hub
	pool *outbox.Pool
}

func newInstance(t *testing.T, node string) *instance {
	t.Helper()
	pool := outbox.NewPool(outbox.Options{})
	t.Cleanup(pool.Close)
	h := hub.New(hub.Options{Pool: pool})
	h.Use(broker.NewMemory(broker.Limits{}, h))
	return &instance{hub: h, pool: pool, Handler: Handler{Ring: NewRing(node, nil), Sessions: h.Sessions,
		Next: func(context.Context, cluster.Question) (any, error) { return "next", nil }}}
}

// open opens a session of a user, or without one of an address, in a room.
func (i *instance) open(t *testing.T, id, user, address, room string) *hub.Session {
	t.Helper()
	encoding := &outbox.Encoding{Transport: "websocket",
		Append:  func(dst []byte, f *outbox.Frame) []byte { return append(dst, f.JSON...) },
		Closing: func(wire.CloseCode, string) []byte { return nil }}
	server, client := net.Pipe()
	s := i.hub.OpenFrom(hub.NewPeer(address, "Scanner/2"), id, user, i.pool.NewQueue(server, encoding, nil), nil)
	t.Cleanup(func() { s.Close(); s.Queue.Hangup(wire.CloseGoingAway); client.Close() })
	r, err := wire.ParseRoom(room)
	testkit.Must(t, err)
	testkit.Must(t, s.Join(t.Context(), []hub.Join{{Room: r}}, func(wire.Cursor) {}))
	return s
}

// end ends a session as the gate does.
func (i *instance) end(s *hub.Session, code wire.CloseCode, why string) {
	if why != "" {
		s.Explain(why)
	}
	rooms, stats := s.Rooms(), s.SessionStats()
	s.Close()
	i.Ring.Closed(s, code, rooms, stats)
}

// A fleet asks its instances; those that are frozen do not answer.
type fleet struct {
	cluster.Cluster
	instances []*instance
	frozen    []string
}

func (f fleet) Ask(ctx context.Context, q cluster.Question) (answers cluster.Answers) {
	for _, i := range f.instances {
		one, err := i.Answer(ctx, q)
		if err != nil {
			answers.Missing = append(answers.Missing, err.Error())
			continue
		}
		data, _ := json.Marshal(one)
		answers.All = append(answers.All, cluster.Answer{Node: i.Ring.node, Data: data})
	}
	answers.Missing = append(answers.Missing, f.frozen...)
	return answers
}

// Who was here, why they left and when they came back is known over all instances.
func TestClosedConnectionsSayWhyAndWhenTheirClientCameBack(t *testing.T) {
	one, two := newInstance(t, "one"), newInstance(t, "two")
	all := fleet{instances: []*instance{one, two}, frozen: []string{"three (no answer in time)"}}
	one.end(one.open(t, "c1", "anna", "10.0.0.1", "zone:w:c"), wire.CloseRestart, "disconnected by an operator: reconnect")
	one.end(one.open(t, "c2", "", "10.0.0.2", "zone:w:c"), wire.CloseSlowConsumer, "")
	one.end(one.open(t, "c3", "carl", "10.0.0.3", "zone:v:a"), wire.CloseGoingAway, "no answer to pings for 1m0s")
	two.open(t, "c4", "anna", "10.9.9.9", "zone:w:c")                                                // anna is back, elsewhere
	two.end(two.open(t, "c5", "", "10.0.0.2", "zone:w:c"), wire.CloseGoingAway, "")                  // so was the one without a name, and left again
	two.end(two.open(t, "c6", "carl", "10.0.0.3", "zone:v:b"), wire.CloseUnauthenticated, "expired") // another zone is another client

	page, answers, err := Client{all}.List(t.Context(), Query{Limit: 10})
	testkit.Must(t, err)
	want := "c6 two unauthenticated expired back=false; c5 two going_away  back=false; c3 one going_away no answer to pings for 1m0s back=false; " +
		"c2 one slow_consumer  back=true; c1 one restart disconnected by an operator: reconnect back=true; "
	got := ""
	for _, c := range page.Closures {
		got += fmt.Sprintf("%s %s %s %s back=%t; ", c.ID, c.Node, c.Code, c.Why, c.Returned != 0)
	}
	if got != want || page.Total != 5 || len(answers.Missing) != 1 {
		t.Errorf("got  %s of %d, missing %v\nwant %s", got, page.Total, answers.Missing, want)
	}
	for _, tt := range []struct {
		name string
		give Query
		want string
	}{
		{"by text", Query{Text: "10.0.0.2"}, "c5 c2 "},
		{"by code", Query{Code: "going_away"}, "c5 c3 "},
		{"by user", Query{User: "carl"}, "c6 c3 "},
		{"by warehouse", Query{Warehouse: "w"}, "c5 c2 c1 "},
		{"by zone", Query{Warehouse: "v", Zone: "b"}, "c6 "},
		{"by address", Query{Address: "10.0.0.1"}, "c1 "},
		{"within what who asks may see", Query{Within: []string{"v"}}, "c6 c3 "},
		{"within, of another warehouse", Query{Within: []string{"v"}, Warehouse: "w"}, ""},
	} {
		tt.give.Limit = 10
		found, _, err := Client{all}.List(t.Context(), tt.give)
		testkit.Must(t, err)
		got := ""
		for _, c := range found.Closures {
			got += c.ID + " "
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if limited := len(tt.give.Within) > 0; limited != (len(found.Churn) == 0) {
			t.Errorf("%s: churn %v", tt.name, found.Churn)
		}
	}
	var read []string
	for wanted, pages := (Query{Limit: 2}), 0; pages < 5; pages++ {
		page, _, err := Client{all}.List(t.Context(), wanted)
		testkit.Must(t, err)
		for _, c := range page.Closures {
			read = append(read, c.ID)
			wanted.Before, wanted.BeforeID = c.Time, c.ID
		}
		if !page.More {
			break
		}
	}
	if fmt.Sprint(read) != "[c6 c5 c3 c2 c1]" {
		t.Errorf("page by page: %v", read)
	}
}

// However many connections end, an instance remembers the last ones and counts all of them by
// reason.
func TestTheRingIsBoundedAndChurnIsCounted(t *testing.T) {
	i := newInstance(t, "one")
	s := i.open(t, "c", "", "", "zone:w:a")
	for n := range Kept + 10 {
		s.ID = fmt.Sprint(n)
		i.Ring.Closed(s, wire.CloseGoingAway, nil, hub.SessionStats{})
	}
	i.Ring.Refused("forbidden")
	if all := i.Ring.all(); len(all) != Kept || all[0].ID != fmt.Sprint(Kept+9) || all[Kept-1].ID != "10" {
		t.Errorf("%d are remembered, from %s to %s", len(all), all[0].ID, all[len(all)-1].ID)
	}
	now := time.Now()
	if got := fmt.Sprint(i.Ring.churn(now)); got != fmt.Sprintf("[{going_away %d %d} {refused:forbidden 1 1}]", Kept+10, Kept+10) {
		t.Errorf("churn %s", got)
	}
	if got := fmt.Sprint(i.Ring.churn(now.Add(2 * time.Minute))); got != fmt.Sprintf("[{going_away 0 %d} {refused:forbidden 0 1}]", Kept+10) {
		t.Errorf("two minutes later %s", got)
	}
	if got := i.Ring.churn(now.Add(6 * time.Minute)); len(got) != 0 {
		t.Errorf("six minutes later %v", got)
	}
	var none *Ring
	none.Refused("forbidden")
	none.Closed(s, wire.CloseGoingAway, nil, hub.SessionStats{})
}

// A question of another kind goes on, and one that can't be read is an error.
func TestOtherQuestionsGoOn(t *testing.T) {
	i := newInstance(t, "one")
	if answer, err := i.Answer(t.Context(), cluster.Question{Kind: "weather"}); answer != "next" || err != nil {
		t.Errorf("got %v, %v", answer, err)
	}
	for _, kind := range []string{kindList, kindReturned} {
		if answer, err := i.Answer(t.Context(), cluster.Question{Kind: kind, Data: json.RawMessage(`5`)}); err == nil {
			t.Errorf("%s 5 is answered with %v", kind, answer)
		}
	}
}
