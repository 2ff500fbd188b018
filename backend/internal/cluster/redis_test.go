package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/redisconn"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// A member is an instance as far as the cluster is concerned.
type member struct {
	*cluster.Redis
	connections atomic.Int64
	deaf        atomic.Bool // does not answer questions in time
	answered    atomic.Int64
	leave       func() // and wait
	vanish      func() // without a word
}

// answer says what was asked.
func (m *member) answer(ctx context.Context, q cluster.Question) (any, error) {
	m.answered.Add(1)
	switch {
	case q.Kind != "echo":
		return nil, errors.New("not known")
	case m.deaf.Load():
		<-ctx.Done()
	}
	return q.Data, nil
}

func join(t *testing.T, url, name string) *member {
	t.Helper()
	return joinAs(t, url, name, func(*cluster.Options) {})
}

// joinAs joins with other options.
func joinAs(t *testing.T, url, name string, change func(*cluster.Options)) *member {
	t.Helper()
	m := new(member)
	target, err := redisconn.Find(t.Context(), redisconn.Options{URL: url})
	testkit.Must(t, err)
	options := cluster.Options{Target: target, Log: slog.New(slog.DiscardHandler), Self: func() cluster.Node {
		return cluster.Node{Name: name, Connections: int(m.connections.Load()), State: cluster.Ready,
			Rooms: cluster.Rooms{Zones: []cluster.Zone{{Warehouse: "w", Zone: "a", Connections: 2}}}}
	}, Answer: m.answer, Interval: 250 * time.Millisecond}
	change(&options)
	m.Redis = cluster.OpenRedis(options)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { m.Run(ctx) })
	var once sync.Once
	m.leave = func() { once.Do(func() { cancel(); running.Wait(); m.Close() }) }
	m.vanish = func() { once.Do(func() { m.Close(); cancel(); running.Wait() }) }
	t.Cleanup(m.leave)
	return m
}

func startRedis(t *testing.T) *stack.Redis {
	t.Helper()
	t.Parallel()
	return stacktest.Redis(t, stack.Single).Redis
}

func names(v cluster.View) string {
	var all []string
	for _, n := range v.Nodes {
		all = append(all, n.Name)
	}
	return strings.Join(all, " ")
}

// awaitView waits until the member's view is as it should be.
func awaitView(t *testing.T, what string, m *member, holds func(cluster.View) bool) {
	t.Helper()
	testkit.Succeeds(t, what, func() error {
		if v := m.View(); !holds(v) {
			return fmt.Errorf("%+v", v)
		}
		return nil
	})
}

// joinTwo starts Redis and two instances that see one another.
func joinTwo(t *testing.T) (server *stack.Redis, a, b *member) {
	t.Helper()
	server = startRedis(t)
	a, b = join(t, server.URL, "a"), join(t, server.URL, "b")
	awaitView(t, "both are seen", a, func(v cluster.View) bool { return names(v) == "a b" && v.Incomplete == "" })
	return server, a, b
}

func TestInstancesSeeOneAnother(t *testing.T) {
	server := startRedis(t)
	a, b := join(t, server.URL, "a"), join(t, server.URL, "b")
	b.connections.Store(7)
	for _, m := range []*member{a, b} {
		awaitView(t, "both are seen", m, func(v cluster.View) bool {
			return names(v) == "a b" && v.Incomplete == "" && v.Nodes[1].Connections == 7 && len(v.Nodes[0].Zones) == 1
		})
	}

	b.leave()
	awaitView(t, "one that left is not missed", a, func(v cluster.View) bool {
		return names(v) == "a" && v.Incomplete == "" && len(v.Silent) == 0
	})
}

func TestAnInstanceThatDiesIsMissed(t *testing.T) {
	_, a, b := joinTwo(t)
	b.vanish()
	awaitView(t, "the silent one is named", a, func(v cluster.View) bool {
		return names(v) == "a" && slices.Equal(v.Silent, []string{"b"}) && strings.Contains(v.Incomplete, "b")
	})
}

// An instance that died is remembered, with what it held, until it is back or dismissed.
func TestAnInstanceThatDiedIsRememberedUntilItIsDismissed(t *testing.T) {
	server, a, b := joinTwo(t)
	b.connections.Store(47)
	awaitView(t, "b has announced its clients", a, func(v cluster.View) bool { return len(v.Nodes) == 2 && v.Nodes[1].Connections == 47 })
	died := time.Now()
	b.vanish()
	remembered := func(v cluster.View) bool {
		return v.Incomplete == "" && len(v.Silent) == 0 && len(v.Gone) == 1 && v.Gone[0].Name == "b" &&
			v.Gone[0].Last != nil && v.Gone[0].Last.Connections == 47
	}
	awaitView(t, "b is not waited for any longer, and remembered", a, remembered)
	if since := a.View().Gone[0].Since; since.After(died.Add(time.Second)) || since.Before(died.Add(-5*time.Second)) {
		t.Errorf("gone since %v, died at %v", since, died)
	}
	testkit.Must(t, server.Kill())
	awaitView(t, "Redis is missed", a, func(v cluster.View) bool { return v.Away })
	testkit.Must(t, server.Start(t.Context()))
	_, err := server.Command(t.Context(), "FLUSHALL")
	testkit.Must(t, err)
	c := join(t, server.URL, "c")
	awaitView(t, "both see each other", c, func(v cluster.View) bool { return names(v) == "a c" })

	c.vanish()
	awaitView(t, "c is gone", a, func(v cluster.View) bool { return len(v.Gone) > 0 && v.Gone[len(v.Gone)-1].Name == "c" })
	gone := a.View().Gone
	id := gone[len(gone)-1].ID
	if ok, err := a.Dismiss(t.Context(), id); !ok || err != nil {
		t.Fatalf("dismiss: %v %v", ok, err)
	}
	if ok, _ := a.Dismiss(t.Context(), id); ok {
		t.Error("it was dismissed twice")
	}
	for range 5 { // it does not come back with the next announcement
		time.Sleep(50 * time.Millisecond)
		if v := a.View(); slices.ContainsFunc(v.Gone, func(g cluster.Gone) bool { return g.ID == id }) {
			t.Fatalf("c is there again: %+v", v.Gone)
		}
	}
}

func TestWithoutRedisTheFiguresAreIncomplete(t *testing.T) {
	server, a, b := joinTwo(t)
	testkit.Must(t, server.Kill())
	awaitView(t, "the others are missed", a, func(v cluster.View) bool {
		return names(v) == "a" && v.Incomplete != "" && slices.Equal(v.Silent, []string{"b"})
	})
	testkit.Must(t, server.Start(t.Context()))
	awaitView(t, "both are seen again", b, func(v cluster.View) bool { return names(v) == "a b" && v.Incomplete == "" })
}

// Two instances of one name are both counted, and one that comes back under its name takes its own
// earlier place.
func TestNamesThatAreTheSame(t *testing.T) {
	server := startRedis(t)
	a, b := join(t, server.URL, "a"), join(t, server.URL, "a")
	b.connections.Store(7)
	awaitView(t, "both are counted", a, func(v cluster.View) bool {
		return names(v) == "a a" && v.Incomplete == "" && v.Nodes[0].Connections+v.Nodes[1].Connections == 7
	})
	b.vanish()
	c := join(t, server.URL, "a")
	c.leave()
	awaitView(t, "what has died is not missed under a name that is there", a, func(v cluster.View) bool {
		return names(v) == "a" && v.Incomplete == "" && len(v.Silent) == 0
	})
}

// While instances come back after Redis was emptied, the figures are not taken for complete.
func TestInstancesThatAreNotBackYetAreMissed(t *testing.T) {
	server, a, b := joinTwo(t)
	testkit.Must(t, server.Kill())
	awaitView(t, "Redis is missed", a, func(v cluster.View) bool { return v.Incomplete != "" })
	b.vanish()
	testkit.Must(t, server.Start(t.Context()))
	_, err := server.Command(t.Context(), "FLUSHALL")
	testkit.Must(t, err)
	awaitView(t, "Redis is back", a, func(v cluster.View) bool {
		if names(v) == "a" && v.Incomplete == "" {
			t.Errorf("complete without b as soon as Redis came back: %+v", v)
		}
		return !strings.Contains(v.Incomplete, "Redis")
	})
	awaitView(t, "b is not waited for any longer", a, func(v cluster.View) bool { return names(v) == "a" && v.Incomplete == "" })
}

// A question is answered by all that live; those that do not answer in time are named.
// Who shares the channels of a Redis without its keys is noticed, until he goes.
func TestAForeignClusterIsHeardAndNamed(t *testing.T) {
	server := startRedis(t)
	own := join(t, server.URL, "own")
	also := join(t, server.URL, "also")
	awaitView(t, "both", own, func(v cluster.View) bool { return len(v.Nodes) == 2 })
	warned := func(v cluster.View) bool {
		return strings.Contains(v.Nodes[0].Warning+v.Nodes[1].Warning, "foreign cluster: 1 more listen on the channels of the prefix zonecast ")
	}
	also.leave()
	foreign := join(t, strings.TrimSuffix(server.URL, "/0")+"/1", "foreign")
	joined := join(t, server.URL, "also")
	awaitView(t, "the foreign one", own, func(v cluster.View) bool { return len(v.Nodes) == 2 && warned(v) })
	awaitView(t, "the foreign one by another", joined, warned)
	foreign.leave()
	awaitView(t, "peace", own, func(v cluster.View) bool { return v.Nodes[0].Warning == "" && v.Nodes[1].Warning == "" })
}

func TestQuestionsAreAnswered(t *testing.T) {
	for name, kind := range map[string]stack.Kind{"one server": stack.Single, "a cluster": stack.Clustered} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Redis(t, kind)
			a, b, c := join(t, s.RedisURL, "a"), join(t, s.RedisURL, "b"), join(t, s.RedisURL, "c")
			awaitView(t, "all are seen", a, func(v cluster.View) bool { return names(v) == "a b c" && v.Incomplete == "" })
			ask := func(kind string, wait time.Duration) cluster.Answers {
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				defer cancel()
				return a.Ask(ctx, cluster.Question{Kind: kind, Data: []byte(`{"n":1}`)})
			}
			got := ask("echo", 10*time.Second)
			if !got.Complete() || got.Asked != 3 || len(got.All) != 3 || got.All[2].Node != "c" || string(got.All[2].Data) != `{"n":1}` {
				t.Errorf("got %+v", got)
			}
			if got := ask("strange", 10*time.Second); len(got.All) != 0 || len(got.Missing) != 3 || !strings.Contains(got.Missing[1], "b (not known)") {
				t.Errorf("a question that nobody knows: %+v", got)
			}
			b.deaf.Store(true)
			if got := ask("echo", time.Second); got.Complete() || len(got.All) != 2 || !slices.Equal(got.Missing, []string{"b (no answer in time)"}) {
				t.Errorf("with a deaf one: %+v", got)
			}
			c.vanish()
			awaitView(t, "the dead one is missed", a, func(v cluster.View) bool { return slices.Equal(v.Silent, []string{"c"}) })
			if got := ask("echo", time.Second); got.Complete() || !slices.Equal(got.Missing, []string{"b (no answer in time)", "c"}) {
				t.Errorf("with a dead one: %+v", got)
			}
		})
	}
}

// The other instances know of an overloaded room for a moment; the one that announced it does not.
func TestInstancesAnnounceOverloadedRooms(t *testing.T) {
	_, a, b := joinTwo(t)
	room, other := wire.Room{Warehouse: "w", Zone: "a"}, wire.Room{Warehouse: "w", Zone: "b"}
	awaitView(t, "b hears of it", a, func(cluster.View) bool {
		a.Announce(room)
		return time.Now().Before(b.OverloadedUntil(room))
	})
	if !a.OverloadedUntil(room).IsZero() || !b.OverloadedUntil(other).IsZero() {
		t.Errorf("a hears itself until %v; b hears of another room until %v", a.OverloadedUntil(room), b.OverloadedUntil(other))
	}
	awaitView(t, "it is over", a, func(cluster.View) bool { return time.Now().After(b.OverloadedUntil(room)) })
}

func TestAlone(t *testing.T) {
	m := new(member)
	c := cluster.Alone{Self: func() cluster.Node { return cluster.Node{Name: "a"} }, Answer: m.answer}
	if v := c.View(); names(v) != "a" || v.Incomplete != "" {
		t.Errorf("got %+v", v)
	}
	if a := c.Ask(t.Context(), cluster.Question{Kind: "echo", Data: []byte(`1`)}); !a.Complete() || len(a.All) != 1 || string(a.All[0].Data) != "1" {
		t.Errorf("got %+v", a)
	}
}
