package connadmin

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// An instance is a hub whose sessions are administered.
type instance struct {
	Handler
	sessions map[string]*hub.Session
}

// newInstance returns an instance with these sessions: "ID user room", and maybe "address agent".
func newInstance(t *testing.T, node string, sessions ...string) *instance {
	t.Helper()
	pool := outbox.NewPool(outbox.Options{})
	t.Cleanup(pool.Close)
	h := hub.New(hub.Options{Pool: pool})
	h.Use(broker.NewMemory(broker.Limits{}, h))
	i := &instance{sessions: map[string]*hub.Session{},
		Handler: Handler{Node: node, Sessions: h.Sessions, Log: slog.New(slog.DiscardHandler)}}
	encoding := &outbox.Encoding{Transport: "websocket",
		Append:  func(dst []byte, f *outbox.Frame) []byte { return append(dst, f.JSON...) },
		Closing: func(wire.CloseCode, string) []byte { return nil }}
	for _, text := range sessions {
		part := strings.Fields(text)
		server, client := net.Pipe()
		var peer hub.Peer
		if len(part) == 5 {
			peer = hub.NewPeer(part[3], part[4])
		}
		s := h.OpenFrom(peer, part[0], part[1], pool.NewQueue(server, encoding, nil), nil)
		t.Cleanup(func() { s.Close(); s.Queue.Hangup(wire.CloseGoingAway); client.Close() })
		room, err := wire.ParseRoom(part[2])
		testkit.Must(t, err)
		testkit.Must(t, s.Join(t.Context(), []hub.Join{{Room: room}}, func(wire.Cursor) {}))
		i.sessions[part[0]] = s
	}
	return i
}

// A fleet is a cluster of these instances. broken, if not empty, is what one more of them answers
// instead of JSON that is known.
type fleet struct {
	cluster.Cluster
	instances []*instance
	broken    json.RawMessage
}

func (f fleet) Ask(ctx context.Context, q cluster.Question) (answers cluster.Answers) {
	for _, i := range f.instances {
		one, err := i.Answer(ctx, q)
		data, _ := json.Marshal(one)
		if err != nil {
			answers.Missing = append(answers.Missing, i.Node+": "+err.Error())
			continue
		}
		answers.All = append(answers.All, cluster.Answer{Node: i.Node, Data: data})
	}
	if f.broken != nil {
		answers.All = append(answers.All, cluster.Answer{Node: "broken", Data: f.broken})
	}
	answers.Asked = len(answers.All) + len(answers.Missing)
	return answers
}

func twoInstances(t *testing.T) fleet {
	return fleet{instances: []*instance{
		newInstance(t, "one", "c1 anna zone:w:a", "c3 - zone:w:b", "c5 anna warehouse:w"),
		newInstance(t, "two", "c2 anna zone:w:a", "c4 - zone:v:a"),
	}}
}

// Each field of a selection narrows it, on all instances; pages follow one another in the order of
// the IDs.
func TestSelectionsAreListed(t *testing.T) {
	all := twoInstances(t)
	tests := []struct {
		name  string
		give  Selection
		want  string // the IDs
		total int
		next  string
	}{
		{"all", Selection{Limit: 10}, "c1 c2 c3 c4 c5", 5, ""},
		{"one", Selection{ID: "c4", Limit: 10}, "c4", 1, ""},
		{"of a room", Selection{Room: "zone:w:a", Limit: 10}, "c1 c2", 2, ""},
		{"of a user", Selection{User: "anna", Limit: 10}, "c1 c2 c5", 3, ""},
		{"of an instance", Selection{Node: "two", Limit: 10}, "c2 c4", 2, ""},
		{"of a user at an instance", Selection{User: "anna", Node: "one", Limit: 10}, "c1 c5", 2, ""},
		{"slow ones", Selection{Slow: true, Limit: 10}, "", 0, ""},
		{"the first page", Selection{Limit: 2}, "c1 c2", 5, "c2"},
		{"the next page", Selection{Limit: 2, After: "c2"}, "c3 c4", 3, "c4"},
		{"the last page", Selection{Limit: 2, After: "c4"}, "c5", 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			page, fanOut, err := Client{all}.List(t.Context(), tt.give)
			if err != nil || fanOut.Asked != 2 || fanOut.Answered != 2 || !fanOut.Complete {
				t.Errorf("asked with %v: %+v", err, fanOut)
			}
			var ids []string
			for _, c := range page.Connections {
				ids = append(ids, c.ID)
			}
			if got := strings.Join(ids, " "); got != tt.want || page.Total != tt.total || page.Next != tt.next {
				t.Errorf("got %q of %d, then %q; want %q of %d, then %q", got, page.Total, page.Next, tt.want, tt.total, tt.next)
			}
			if selectsAll := tt.give.SelectsAll(); selectsAll != (tt.total == 5 || tt.give.After != "") {
				t.Errorf("selects all: %v", selectsAll)
			}
		})
	}
}

// Those who are selected are disconnected, on all instances, and nobody else.
func TestSelectionsAreDisconnected(t *testing.T) {
	for _, tt := range []struct {
		name string
		give Selection
		ban  bool
		want string // the IDs
		code wire.CloseCode
	}{
		{"a room", Selection{Room: "zone:w:a"}, false, "c1 c2", wire.CloseRestart},
		{"a user, for good", Selection{User: "anna"}, true, "c1 c2 c5", wire.CloseForbidden},
		{"nobody", Selection{User: "nobody"}, false, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := twoInstances(t)
			n, _, err := Client{all}.Disconnect(t.Context(), tt.give, tt.ban)
			if err != nil || n != len(strings.Fields(tt.want)) {
				t.Errorf("%d were disconnected, %v", n, err)
			}
			for _, i := range all.instances {
				for id, s := range i.sessions {
					want := wire.CloseCode(0)
					if strings.Contains(tt.want, id) {
						want = tt.code
					}
					if got := s.Queue.Code(); got != want {
						t.Errorf("%s is closed with %v, want %v", id, got, want)
					}
				}
			}
		})
	}
}

// An instance of another version that answers something else is missing, and so is what it holds.
func TestAnAnswerThatCanNotBeReadIsMissing(t *testing.T) {
	all := twoInstances(t)
	all.broken = json.RawMessage(`"what?"`)
	page, fanOut, err := Client{all}.List(t.Context(), Selection{Limit: 10})
	if err != nil || page.Total != 5 || fanOut.Asked != 3 || fanOut.Answered != 2 || fanOut.Complete ||
		fmt.Sprint(fanOut.Missing) != "[broken (its answer is not readable)]" {
		t.Errorf("%d connections, %+v, %v", page.Total, fanOut, err)
	}
	five := json.RawMessage(`5`)
	for _, q := range []cluster.Question{{Kind: "weather"}, {Kind: kindList, Data: five}, {Kind: kindDisconnect, Data: five}} {
		if answer, err := all.instances[0].Answer(t.Context(), q); err == nil {
			t.Errorf("%s %s is answered with %v", q.Kind, q.Data, answer)
		}
	}
}

// Who is limited to warehouses sees what is in them, ends what is nowhere else, and gets no answer
// from an instance that does not know of limits.
func TestSelectionsWithinWarehouses(t *testing.T) {
	all := twoInstances(t)
	testkit.Must(t, all.instances[0].sessions["c1"].Join(t.Context(), []hub.Join{{Room: wire.Room{Warehouse: "v"}}}, func(wire.Cursor) {}))
	page, _, err := Client{all}.List(t.Context(), Selection{Within: []string{"v"}, Limit: 10})
	testkit.Must(t, err)
	var got []string
	for _, c := range page.Connections {
		got = append(got, c.ID+strings.Join(c.Rooms, " "))
	}
	if want := "[c1warehouse:v c4zone:v:a]"; fmt.Sprint(got) != want || page.Total != 2 {
		t.Errorf("listed %v of %d, want %s", got, page.Total, want)
	}
	if page, _, _ := (Client{all}).List(t.Context(), Selection{Within: []string{"v"}, Room: "zone:w:a", Limit: 10}); page.Total != 0 {
		t.Errorf("a room elsewhere: %d are listed", page.Total)
	}
	if n, _, err := (Client{all}).Disconnect(t.Context(), Selection{Within: []string{"v"}, User: "anna"}, true); n != 0 || err != nil {
		t.Errorf("%d were disconnected that are in another warehouse too, %v", n, err)
	}
	if n, _, err := (Client{all}).Disconnect(t.Context(), Selection{Within: []string{"v"}, Node: "two"}, true); n != 1 || err != nil {
		t.Errorf("%d were disconnected, %v", n, err)
	}
	if (Selection{Within: []string{"v"}}).kind(kindDisconnect) == kindDisconnect {
		t.Error("an instance without limits would answer")
	}
}
