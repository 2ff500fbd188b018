package incidents

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// A flaky store is away while away is set.
type flaky struct {
	*audit.Memory
	away atomic.Bool
}

func (f *flaky) Append(ctx context.Context, list audit.List, values []string) error {
	if f.away.Load() {
		return errors.New("away")
	}
	return f.Memory.Append(ctx, list, values)
}

func (f *flaky) Before(ctx context.Context, list audit.List, place audit.Place, orAt bool, n int) ([]audit.Stored, error) {
	if f.away.Load() {
		return nil, errors.New("away")
	}
	return f.Memory.Before(ctx, list, place, orAt, n)
}

// run runs f with a log of a store that can go away, on a clock of its own.
func run(t *testing.T, f func(t *testing.T, l *Log, store *flaky)) {
	synctest.Test(t, func(t *testing.T) {
		store := &flaky{Memory: audit.NewMemory()}
		l := New(Options{Node: "one", Store: store, Signer: bus.New([]string{"0123456789abcdef0123456789abcdef"})})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { l.Run(ctx); close(done) }()
		f(t, l, store)
		cancel()
		<-done
	})
}

func read(t *testing.T, l *Log, q Query) string {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	page, err := l.Read(t.Context(), q)
	testkit.Must(t, err)
	var all []string
	for _, i := range page.Incidents {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s", i.Kind, i.Node, i.Detail)))
	}
	return strings.Join(all, "; ")
}

// What happened is found by kind, instance and time, page by page, the last ones first.
func TestWhatHappenedIsFound(t *testing.T) {
	run(t, func(t *testing.T, l *Log, _ *flaky) {
		l.Record(Incident{Kind: Started})
		time.Sleep(time.Hour)
		since := time.Now()
		l.Record(Incident{Kind: Gone, Node: "two", Detail: "held 47 clients"})
		time.Sleep(time.Minute)
		l.Record(Incident{Kind: Back, Node: "two", Lasted: 60_000})
		time.Sleep(2 * time.Second)
		for _, tt := range []struct {
			give Query
			want string
		}{
			{Query{}, "back two; gone two held 47 clients; started one"},
			{Query{Kind: Gone}, "gone two held 47 clients"},
			{Query{Node: "one"}, "started one"},
			{Query{Since: since}, "back two; gone two held 47 clients"},
			{Query{Limit: 2}, "back two; gone two held 47 clients"},
		} {
			if got := read(t, l, tt.give); got != tt.want {
				t.Errorf("%+v: %s, want %s", tt.give, got, tt.want)
			}
		}
		first, err := l.Read(t.Context(), Query{Limit: 2})
		testkit.Must(t, err)
		if got := read(t, l, Query{Limit: 2, Before: first.Next}); got != "started one" || first.Next == "" {
			t.Errorf("the second page is %q", got)
		}
		if _, err := l.Read(t.Context(), Query{Before: "x"}); err == nil {
			t.Error("a place that is none is taken")
		}
	})
}

// What happens while the store is away is there when it is back, as much of it as is kept.
func TestWhatHappensWhileTheStoreIsAwayIsKept(t *testing.T) {
	run(t, func(t *testing.T, l *Log, store *flaky) {
		store.away.Store(true)
		for n := range maxWaiting + 5 {
			l.Record(Incident{Kind: Settings, Detail: fmt.Sprint(n)})
		}
		time.Sleep(5 * time.Second)
		if _, err := l.Read(t.Context(), Query{Limit: 1}); err == nil {
			t.Error("what is away is read")
		}
		store.away.Store(false)
		time.Sleep(2 * time.Second)
		page, err := l.Read(t.Context(), Query{Limit: MaxPage})
		if n := len(page.Incidents); err != nil || n != maxWaiting {
			t.Errorf("%d are there, %v", n, err)
		}
	})
}

// A flood is one line at once, and one a minute that counts.
func TestFloodsAreCounted(t *testing.T) {
	run(t, func(t *testing.T, l *Log, _ *flaky) {
		for range 3000 {
			l.Count(Flood, "a limit")
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(3 * time.Minute)
		page, err := l.Read(t.Context(), Query{Limit: 100})
		testkit.Must(t, err)
		sum := 0
		for _, i := range page.Incidents {
			sum += i.Count
		}
		if n := len(page.Incidents); n != 4 || sum != 3000 {
			t.Errorf("%d lines count %d, want 4 and 3000", n, sum)
		}
		for n := range 3 * maxCounted {
			l.Count(Flood, fmt.Sprint(n))
		}
		if n := len(l.counted); n > maxCounted+1 {
			t.Errorf("%d things are counted", n)
		}
	})
}

// What somebody else writes into the store is no event.
func TestWhatNoInstanceWroteIsLeftOut(t *testing.T) {
	run(t, func(t *testing.T, l *Log, store *flaky) {
		forged := bus.New([]string{"another secret of 32 bytes or more"}).Seal(bus.Audit, string(list), `{"kind":"gone"}`)
		testkit.Must(t, store.Append(t.Context(), list, []string{`{"kind":"gone"}`, forged}))
		l.Record(Incident{Kind: Started})
		time.Sleep(2 * time.Second)
		if got := read(t, l, Query{}); got != "started one" {
			t.Errorf("read %s", got)
		}
	})
}

// An instance that goes and comes back, and a broker that does, are events with their duration; of
// several instances that see the same, one records it.
func TestWhatInstancesSeeIsRecordedOnce(t *testing.T) {
	run(t, func(t *testing.T, l *Log, _ *flaky) {
		nodes := []cluster.Node{{ID: "a", Name: "one", State: cluster.Ready}, {ID: "b", Name: "two", State: cluster.Ready}}
		view, status := cluster.View{Nodes: nodes, Unasked: true}, cluster.Status{}
		watchers := []*Watcher{}
		for _, n := range nodes {
			watchers = append(watchers, &Watcher{Log: l, Self: n.ID, Status: func() cluster.Status { return status }, View: func() cluster.View { return view }})
		}
		look := func() {
			time.Sleep(time.Second)
			for _, w := range watchers {
				w.look(time.Now())
			}
		}
		old := cluster.Gone{ID: "o", Name: "old", Since: time.Now()}
		look()
		view = cluster.View{Nodes: nodes, Gone: []cluster.Gone{old}} // before these began
		look()
		since := time.Now()
		view.Gone = append(view.Gone, cluster.Gone{ID: "c", Name: "three", Since: since, Last: &cluster.Node{Connections: 47}})
		view.Incomplete = "not heard of any more: three"
		look()
		look()
		view = cluster.View{Nodes: nodes[:1], Away: true, Gone: []cluster.Gone{{ID: "b", Name: "two", WithRedis: true}}} // Redis goes
		status.Broker, status.BrokerDownSince = errors.New("no answer"), time.Now()
		watchers = watchers[:1]
		look()
		time.Sleep(10 * time.Second)
		status = cluster.Status{}
		view = cluster.View{Nodes: append(nodes, cluster.Node{ID: "0", Name: "three", State: cluster.Ready})} // three is back, old was dismissed
		look()
		time.Sleep(2 * time.Second)
		page, err := l.Read(t.Context(), Query{Limit: 100})
		testkit.Must(t, err)
		got := ""
		for _, i := range page.Incidents {
			got += fmt.Sprintf("%s %s %s %d; ", i.Kind, i.Node, i.Detail, i.Lasted)
		}
		want := "back three  14000; broker_up one  12000; broker_down one no answer 0; gone three held 47 clients 0; "
		if got != want {
			t.Errorf("recorded %s\nwant     %s", got, want)
		}
	})
}
