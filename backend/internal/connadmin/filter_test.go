package connadmin

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

func fiveClients(t *testing.T) fleet {
	return fleet{instances: []*instance{
		newInstance(t, "one", "c1 anna zone:w:a 10.0.0.1 Scanner/2.1", "c3 - zone:w:b 10.0.0.3 Mozilla/5.0", "c5 anna warehouse:w 10.1.0.5 Scanner/2.2"),
		newInstance(t, "two", "c2 bert zone:w:a 10.0.0.2 Scanner/2.1", "c4 - zone:v:a 10.0.0.40 Mozilla/5.0"),
	}}
}

func ids(page Page) string {
	var all []string
	for _, c := range page.Connections {
		all = append(all, c.ID)
	}
	return strings.Join(all, " ")
}

// Whatever is known of a client finds it, on whichever instance it is.
func TestClientsAreFoundByWhatIsKnownOfThem(t *testing.T) {
	all := fiveClients(t)
	for _, tt := range []struct {
		name string
		give Selection
		want string
	}{
		{"search by part of an id", Selection{Filter: Filter{Text: "C4"}}, "c4"},
		{"search by part of a user", Selection{Filter: Filter{Text: "BER"}}, "c2"},
		{"search by address", Selection{Filter: Filter{Text: "10.0.0.4"}}, "c4"},
		{"search by room", Selection{Filter: Filter{Text: "zone:w:"}}, "c1 c2 c3"},
		{"search by User-Agent", Selection{Filter: Filter{Text: "scanner/2.2"}}, "c5"},
		{"a room that is not for who asks is no find", Selection{Within: []string{"v"}, Filter: Filter{Text: "zone:w:"}}, ""},
		{"in any room of a warehouse", Selection{Filter: Filter{Warehouse: "w"}}, "c1 c2 c3 c5"},
		{"in a warehouse that is not for who asks", Selection{Within: []string{"v"}, Filter: Filter{Warehouse: "w"}}, ""},
		{"by transport", Selection{Filter: Filter{Transport: "sse"}}, ""},
		{"by the beginning of an address", Selection{Filter: Filter{Address: "10.0."}}, "c1 c2 c3 c4"},
		{"by User-Agent", Selection{Filter: Filter{Agent: "mozilla"}}, "c3 c4"},
		{"with many bytes queued", Selection{Filter: Filter{MinQueued: 1 << 20}}, ""},
		{"opened before", Selection{Filter: Filter{OpenedBefore: time.Now().Add(-time.Hour).UnixMilli()}}, ""},
		{"opened before now", Selection{Filter: Filter{OpenedBefore: time.Now().UnixMilli()}}, "c1 c2 c3 c4 c5"},
		{"by their ids", Selection{Filter: Filter{IDs: []string{"c5", "c2", "c9"}}}, "c2 c5"},
		{"by two things", Selection{User: "anna", Filter: Filter{Address: "10.1"}}, "c5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.give.Limit = 10
			page, fanOut, err := Client{all}.List(t.Context(), tt.give)
			if got := ids(page); got != tt.want || page.Total != len(strings.Fields(tt.want)) || err != nil || !fanOut.Complete {
				t.Errorf("got %q of %d, %+v, %v; want %q", got, page.Total, fanOut, err, tt.want)
			}
		})
	}
}

// A sorted list is read page by page, over all instances: each client comes once.
func TestSortedPagesHaveEachClientOnce(t *testing.T) {
	all := fiveClients(t)
	for i, id := range []string{"c1", "c4", "c2", "c5", "c3"} {
		for _, one := range all.instances {
			if s := one.sessions[id]; s != nil {
				s.Opened = time.UnixMilli(int64(1000 * i))
			}
		}
	}
	for sort, want := range map[Sort]string{ByID: "c1 c2 c3 c4 c5", Oldest: "c1 c4 c2 c5 c3", Newest: "c3 c5 c2 c4 c1",
		ByQueued: "c1 c2 c3 c4 c5", ByRTT: "c1 c2 c3 c4 c5", BySent: "c1 c2 c3 c4 c5"} {
		wanted, got := Selection{Limit: 2, Filter: Filter{Sort: sort}}, []string(nil)
		for pages := 0; pages < 4; pages++ {
			page, _, err := Client{all}.List(t.Context(), wanted)
			testkit.Must(t, err)
			got = append(got, ids(page))
			if page.Total != 5-2*pages {
				t.Errorf("%s: page %d begins before %d, want %d", sort, pages, page.Total, 5-2*pages)
			}
			if wanted.After, wanted.AfterValue = page.Next, page.NextValue; page.Next == "" {
				break
			}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: got %s, want %s", sort, text, want)
		}
	}
}

// Rows that are watched stay the same ones, while the others are only counted.
func TestShownClientsAreThoseThatAreNamed(t *testing.T) {
	all := fiveClients(t)
	page, _, err := Client{all}.List(t.Context(), Selection{Limit: 50, Filter: Filter{Address: "10.0.", Show: []string{"c5", "c2", "gone"}}})
	testkit.Must(t, err)
	if got := ids(page); got != "c2 c5" || page.Total != 4 {
		t.Errorf("shown are %q of %d, want c2 c5 of 4", got, page.Total)
	}
	page, _, err = Client{all}.List(t.Context(), Selection{Within: []string{"v"}, Limit: 50, Filter: Filter{Show: []string{"c5", "c4"}}})
	testkit.Must(t, err)
	if got := ids(page); got != "c4" {
		t.Errorf("who is limited to v is shown %q", got)
	}
}

// An instance of a version that knows no filter must not disconnect without it.
func TestOlderInstancesDoNotAnswerWhatTheyWouldNotFilter(t *testing.T) {
	older := cluster.Alone{Self: func() cluster.Node { return cluster.Node{Name: "older"} },
		Answer: func(_ context.Context, q cluster.Question) (any, error) {
			if q.Kind == kindDisconnect || q.Kind == kindDisconnect+limited {
				return disconnected{19000}, nil
			}
			return nil, errors.New("is not known to this version")
		}}
	for _, wanted := range []Selection{{Filter: Filter{Text: "x"}}, {Filter: Filter{IDs: []string{"c1"}}}, {Within: []string{"w"}, Filter: Filter{Agent: "x"}}} {
		if n, fanOut, err := (Client{older}).Disconnect(t.Context(), wanted, false); n != 0 || fanOut.Complete || err != nil {
			t.Errorf("%+v: %d disconnected, %+v, %v", wanted, n, fanOut, err)
		}
	}
}

// The page of a client has where it is in each room, as far as who asks may see it.
func TestAClientIsDescribedInDetail(t *testing.T) {
	all := fiveClients(t)
	detail, fanOut, err := Client{all}.Detail(t.Context(), Selection{ID: "c2"})
	testkit.Must(t, err)
	if detail == nil || detail.Node != "two" || detail.Address != "10.0.0.2" || detail.Agent != "Scanner/2.1" || !fanOut.Complete ||
		len(detail.Positions) != 1 || detail.Positions[0].Room != "zone:w:a" || detail.Positions[0].Offset == "" || detail.Positions[0].Waiting != 0 {
		t.Errorf("got %+v, %+v", detail, fanOut)
	}
	for _, wanted := range []Selection{{ID: "c9"}, {}, {ID: "c2", Within: []string{"v"}}} {
		if detail, _, err := (Client{all}).Detail(t.Context(), wanted); detail != nil || err != nil {
			t.Errorf("%+v is %+v, %v", wanted, detail, err)
		}
	}
}
