package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/broker/brokertest"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/redisconn"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// usedMemory is what Redis says it uses, in bytes.
func usedMemory(t *testing.T, url string) int {
	t.Helper()
	for line := range strings.Lines(fmt.Sprint(command(t, url, "INFO", "memory"))) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			n, err := strconv.Atoi(value)
			testkit.Must(t, err)
			return n
		}
	}
	t.Fatal("Redis does not say what it uses")
	return 0
}

// A Redis that is full takes no message more, of new rooms neither: it does not grow. What is there
// can be read, joined and deleted, and the instance stays ready, since no other is better off.
func TestRedisFullDoesNotGrow(t *testing.T) {
	url := startRedis(t).URL
	recorder := brokertest.NewRecorder(t)
	b := openRedis(t, broker.RedisOptions{Target: findURL(t, url)}, recorder)
	room := brokertest.Room(t)
	key := broker.Publication{Room: room, Event: "E", Data: []byte("1"), IdempotencyKey: "k"}
	first := brokertest.Publish(t, b, key)
	const room8 = 8 << 20
	limit := usedMemory(t, url) + room8
	command(t, url, "CONFIG", "SET", "maxmemory", limit)
	data := append(append([]byte{'"'}, bytes.Repeat([]byte("x"), 60<<10)...), '"')
	var full wire.Room
	refused := 0
	for range 3 * room8 / len(data) {
		full = brokertest.Room(t)
		_, err := b.Publish(t.Context(), broker.Publication{Room: full, Event: "E", Retain: true, Data: data})
		if err == nil {
			continue
		}
		refused++
		if e := wire.AsError(err); e.Code != wire.CodeUnavailable || !strings.Contains(e.Message, "out of memory, nothing was done") {
			t.Fatalf("refused with %v", err)
		}
	}
	if refused == 0 {
		t.Fatal("nothing was refused")
	}
	// What clients and replication buffer comes and goes.
	testkit.Eventually(t, "Redis keeps to its limit", func() bool { return usedMemory(t, url) < limit+1<<20 })
	if n := command(t, url, "EXISTS", "zonecast:{"+full.String()+"}:meta"); n != int64(0) {
		t.Error("a room that was refused left a key")
	}
	command(t, url, "CONFIG", "SET", "maxmemory", 1) // what it uses comes and goes a little
	var health error
	testkit.Eventually(t, "health tells", func() bool { health = b.Health(); return health != nil })
	everywhere, ok := errors.AsType[interface {
		error
		Everywhere() bool
	}](health)
	if !ok || !everywhere.Everywhere() || !strings.Contains(health.Error(), "out of memory") {
		t.Errorf("health says %v, want that it is the same everywhere", health)
	}
	if again, err := b.Publish(t.Context(), key); err != nil || !again.Duplicate || again.Offset != first.Offset {
		t.Errorf("a repetition: %+v %v", again, err)
	}
	if page, err := b.History(t.Context(), room, wire.Offset{Epoch: first.Offset.Epoch}, 10); err != nil || len(page.Messages) != 1 {
		t.Errorf("history: %+v %v", page, err)
	}
	brokertest.Subscribe(t, b, room)
	brokertest.Subscribe(t, b, full)
	command(t, url, "CONFIG", "SET", "maxmemory", limit)
	testkit.Succeeds(t, "deleting makes room", func() error {
		names := allKeys(t, url)
		for _, name := range names {
			if deleted, ok := strings.CutSuffix(name, "}:stream"); ok && !strings.Contains(name, room.String()) {
				at, err := wire.ParseRoom(strings.TrimPrefix(deleted, "zonecast:{"))
				testkit.Must(t, err)
				_, err = b.DeleteRoom(t.Context(), at)
				testkit.Must(t, err)
			}
		}
		_, err := b.Publish(t.Context(), broker.Publication{Room: full, Event: "E", Data: []byte("1")})
		return err
	})
	testkit.Eventually(t, "health tells that it is over", func() bool { return b.Health() == nil })
	recorder.WantExactly(full, 1, 1)
}

// What is published through one instance counts at the others soon.
func TestRedisInstancesShareAQuota(t *testing.T) {
	for name, kind := range map[string]stack.Kind{"one server": stack.Single, "a cluster": stack.Clustered} {
		t.Run(name, func(t *testing.T) {
			target := find(t, startKind(t, kind))
			limits := broker.Limits{Warehouse: broker.Quota{Rooms: 20, RetainedEvents: 5}}
			one := openRedis(t, broker.RedisOptions{Target: target, Limits: limits}, brokertest.NewRecorder(t))
			other := openRedis(t, broker.RedisOptions{Target: target, Limits: limits}, brokertest.NewRecorder(t))
			w := brokertest.Room(t).Warehouse
			zone := func(i int) wire.Room { return wire.Room{Warehouse: w, Zone: fmt.Sprint(i)} }
			brokertest.Publish(t, other, broker.Publication{Room: zone(0)})
			for i := range 19 {
				brokertest.Publish(t, one, broker.Publication{Room: zone(i + 1), Event: "E", Retain: i < 5})
			}
			testkit.Eventually(t, "the other instance knows", func() bool {
				u := other.Usage()[w]
				return u.Rooms == 20 && u.RetainedEvents == 5 && u.HistoryBytes > 0
			})
			_, err := other.Publish(t.Context(), broker.Publication{Room: zone(20), Event: "E", Data: []byte("1")})
			brokertest.WantExceeded(t, err, broker.QuotaRooms, 20)
			_, err = other.Publish(t.Context(), broker.Publication{Room: zone(0), Event: "E", Retain: true, Data: []byte("1")})
			brokertest.WantExceeded(t, err, broker.QuotaRetainedEvents, 5)
			// An instance that begins now knows at once.
			asked := openRedis(t, broker.RedisOptions{Target: target, Limits: limits}, brokertest.NewRecorder(t))
			if u, err := asked.UsageOf(t.Context(), w); err != nil || u.Rooms != 20 || u.RetainedEvents != 5 || u.HistoryBytes == 0 {
				t.Errorf("asked before it publishes, it says %+v, %v", u, err)
			}
			third := openRedis(t, broker.RedisOptions{Target: target, Limits: limits}, brokertest.NewRecorder(t))
			_, err = third.Publish(t.Context(), broker.Publication{Room: zone(21), Event: "E", Data: []byte("1")})
			brokertest.WantExceeded(t, err, broker.QuotaRooms, 20)
			if there, err := one.DeleteRoom(t.Context(), zone(3)); err != nil || !there {
				t.Fatalf("delete a room: %v %v", there, err)
			}
			testkit.Succeeds(t, "there is room for another one", func() error {
				_, err := third.Publish(t.Context(), broker.Publication{Room: zone(21), Event: "E", Data: []byte("1")})
				return err
			})
		})
	}
}

// The history of rooms that are quiet does not count any more when it has expired.
func TestRedisExpiredHistoryCountsNoMore(t *testing.T) {
	limits := broker.Limits{Age: time.Second, Warehouse: broker.Quota{HistoryBytes: 100_000}}
	b := openRedis(t, broker.RedisOptions{Target: findURL(t, startRedis(t).URL), Limits: limits,
		Timings: broker.RedisTimings{Recount: 500 * time.Millisecond}}, brokertest.NewRecorder(t))
	w := brokertest.Room(t).Warehouse
	data := append(append([]byte{'"'}, bytes.Repeat([]byte("x"), 60_000)...), '"')
	brokertest.Publish(t, b, broker.Publication{Room: wire.Room{Warehouse: w, Zone: "quiet"}, Data: data})
	testkit.Succeeds(t, "another room may have it", func() error {
		_, err := b.Publish(t.Context(), broker.Publication{Room: wire.Room{Warehouse: w, Zone: "other"}, Event: "E", Data: data})
		return err
	})
}

// Two clusters with different prefixes on one Redis have nothing to do with one another: neither
// messages, nor who is there, nor questions, nor overloaded rooms.
func TestRedisPrefixesShareNothing(t *testing.T) {
	url := startRedis(t).URL
	type side struct {
		broker   *broker.Redis
		recorder *brokertest.Recorder
		cluster  *cluster.Redis
	}
	room := brokertest.Room(t)
	open := func(prefix string) side {
		target, err := redisconn.Find(t.Context(), redisconn.Options{URL: url, Prefix: prefix})
		testkit.Must(t, err)
		s := side{recorder: brokertest.NewRecorder(t)}
		s.broker = openRedis(t, broker.RedisOptions{Target: target, Prefix: prefix,
			Limits: broker.Limits{Warehouse: broker.Quota{Rooms: 1}}}, s.recorder)
		s.cluster = cluster.OpenRedis(cluster.Options{Target: target, Prefix: prefix, Log: slog.New(slog.DiscardHandler),
			Self:   func() cluster.Node { return cluster.Node{Name: prefix, State: cluster.Ready} },
			Answer: func(context.Context, cluster.Question) (any, error) { return prefix, nil }, Interval: 100 * time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.cluster.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done; s.cluster.Close() })
		brokertest.Subscribe(t, s.broker, room)
		testkit.Eventually(t, prefix+" sees itself", func() bool { return s.cluster.View().Incomplete == "" })
		return s
	}
	staging, production := open("staging"), open("production")
	for n := range uint64(3) {
		brokertest.Publish(t, staging.broker, broker.Publication{Room: room, IdempotencyKey: fmt.Sprint(n), Retain: true})
	}
	staging.recorder.WantExactly(room, 1, 3)
	if got := brokertest.Publish(t, production.broker, broker.Publication{Room: room, IdempotencyKey: "0", Retain: true}); got.Duplicate || got.Offset.N != 1 {
		t.Errorf("production's first message is %+v", got)
	}
	production.recorder.WantExactly(room, 1, 1)
	for name, s := range map[string]side{"staging": staging, "production": production} {
		if nodes := s.cluster.View().Nodes; len(nodes) != 1 || nodes[0].Name != name {
			t.Errorf("%s sees %+v", name, nodes)
		}
		if answers := s.cluster.Ask(t.Context(), cluster.Question{Kind: "who"}); answers.Asked != 1 || len(answers.All) != 1 {
			t.Errorf("%s is answered %+v", name, answers)
		}
	}
	other := open("staging")
	testkit.Eventually(t, "an overloaded room is announced within staging", func() bool {
		staging.cluster.Announce(room)
		return other.cluster.OverloadedUntil(room).After(time.Now())
	})
	if until := production.cluster.OverloadedUntil(room); !until.IsZero() {
		t.Error("staging's members throttle production's publishers")
	}
	for _, name := range allKeys(t, url) {
		if !strings.HasPrefix(name, "staging:") && !strings.HasPrefix(name, "production:") {
			t.Errorf("the key %s belongs to neither", name)
		}
	}
	channels, _ := command(t, url, "PUBSUB", "CHANNELS").([]any)
	for _, name := range channels {
		if name := fmt.Sprint(name); !strings.HasPrefix(name, "staging:") && !strings.HasPrefix(name, "production:") {
			t.Errorf("the channel %s belongs to neither", name)
		}
	}
}
