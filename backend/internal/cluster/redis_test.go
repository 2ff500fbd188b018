package cluster_test

import (
	"context"
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
)

// A member is an instance as far as the cluster is concerned.
type member struct {
	*cluster.Redis
	connections atomic.Int64
	leave       func() // and wait
	vanish      func() // without a word
}

func join(t *testing.T, url, name string) *member {
	t.Helper()
	m := new(member)
	target, err := redisconn.Find(t.Context(), redisconn.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	m.Redis = cluster.OpenRedis(target, slog.New(slog.DiscardHandler), func() cluster.Node {
		return cluster.Node{Name: name, Connections: int(m.connections.Load()), State: cluster.Ready,
			Zones: []cluster.Zone{{Warehouse: "w", Zone: "a", Connections: 2}}}
	})
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
	s, err := stack.Start(t.Context(), stack.Options{Root: "../../..", Redis: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.Redis
}

func names(v cluster.View) string {
	var all []string
	for _, n := range v.Nodes {
		all = append(all, n.Name)
	}
	return strings.Join(all, " ")
}

func eventually(t *testing.T, what string, m *member, holds func(cluster.View) bool) {
	t.Helper()
	var v cluster.View
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if v = m.View(); holds(v) {
			return
		}
	}
	t.Fatalf("%s: still %+v", what, v)
}

func TestInstancesSeeOneAnother(t *testing.T) {
	server := startRedis(t)
	a, b := join(t, server.URL, "a"), join(t, server.URL, "b")
	b.connections.Store(7)
	for _, m := range []*member{a, b} {
		eventually(t, "both are seen", m, func(v cluster.View) bool {
			return names(v) == "a b" && v.Incomplete == "" && v.Nodes[1].Connections == 7 && len(v.Nodes[0].Zones) == 1
		})
	}

	b.leave()
	eventually(t, "one that left is not missed", a, func(v cluster.View) bool {
		return names(v) == "a" && v.Incomplete == "" && len(v.Silent) == 0
	})
}

func TestAnInstanceThatDiesIsMissed(t *testing.T) {
	server := startRedis(t)
	a, b := join(t, server.URL, "a"), join(t, server.URL, "b")
	eventually(t, "both are seen", a, func(v cluster.View) bool { return names(v) == "a b" })
	b.vanish()
	eventually(t, "the silent one is named", a, func(v cluster.View) bool {
		return names(v) == "a" && slices.Equal(v.Silent, []string{"b"}) && strings.Contains(v.Incomplete, "b")
	})
}

func TestWithoutRedisTheFiguresAreIncomplete(t *testing.T) {
	server := startRedis(t)
	a, b := join(t, server.URL, "a"), join(t, server.URL, "b")
	eventually(t, "both are seen", a, func(v cluster.View) bool { return names(v) == "a b" })
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the others are missed", a, func(v cluster.View) bool {
		return names(v) == "a" && v.Incomplete != "" && slices.Equal(v.Silent, []string{"b"})
	})
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are seen again", b, func(v cluster.View) bool { return names(v) == "a b" && v.Incomplete == "" })
}

func TestAlone(t *testing.T) {
	c := cluster.Alone(func() cluster.Node { return cluster.Node{Name: "a"} })
	if v := c.View(); names(v) != "a" || v.Incomplete != "" {
		t.Errorf("got %+v", v)
	}
}
