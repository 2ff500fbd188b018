package broker_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/broker/brokertest"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// valkey knows WAITAOF, as Redis does from 7.2 on.
const valkey = "valkey-server"

// startDurable starts servers of this program and kind, and a broker that waits for d.
func startDurable(t *testing.T, program string, kind stack.Kind, d broker.Durability, args ...string) (*stack.Stack, *broker.Redis, *results) {
	t.Helper()
	t.Parallel()
	s := stacktest.Start(t, stack.Options{Redis: true, Kind: kind, RedisProgram: program, RedisArgs: args})
	seen := &results{}
	return s, openRedis(t, broker.RedisOptions{Target: find(t, s), Durability: d, OnDurable: seen.add}, brokertest.NewRecorder(t)), seen
}

type results struct {
	mu  sync.Mutex
	all []broker.DurableResult
}

func (r *results) add(result broker.DurableResult, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, result)
}

func (r *results) want(t *testing.T, want ...broker.DurableResult) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if fmt.Sprint(r.all) != fmt.Sprint(want) {
		t.Errorf("the waits ended as %v, want %v", r.all, want)
	}
}

// publishDurable publishes, and waits for the confirmation.
func publishDurable(t *testing.T, b broker.Broker, room wire.Room, key string) (broker.Receipt, error) {
	t.Helper()
	receipt, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: "E", Data: []byte(`1`), IdempotencyKey: key, Durable: true})
	if err != nil {
		return receipt, err
	}
	return receipt, receipt.Confirm(t.Context())
}

// wantCode checks an error's code, and that its text tells this.
func wantCode(t *testing.T, err error, code wire.ErrorCode, text string) {
	t.Helper()
	if err == nil || wire.AsError(err).Code != code || !strings.Contains(err.Error(), text) {
		t.Errorf("the error is %v, want %s with %q", err, code, text)
	}
}

func TestDurableIsConfirmed(t *testing.T) {
	for _, tt := range []struct {
		name, program string
		kind          stack.Kind
		give          broker.Durability
		args          []string
	}{
		{"disk, everysec", valkey, stack.Single, broker.Durability{Timeout: 20 * time.Second}, nil},
		{"disk, always", valkey, stack.Single, broker.Durability{Timeout: 20 * time.Second}, []string{"--appendfsync", "always"}},
		{"disk of an older Redis, always", "redis-server", stack.Single, broker.Durability{}, []string{"--appendfsync", "always"}},
		{"disks of master and replicas", valkey, stack.Watched, broker.Durability{Replicas: 2, Timeout: 20 * time.Second}, nil},
		{"memory of replicas", "redis-server", stack.Watched, broker.Durability{Replicas: 2, NoDisk: true, Timeout: 20 * time.Second}, nil},
		{"disks of a cluster", valkey, stack.Clustered, broker.Durability{Replicas: 1, Timeout: 20 * time.Second}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, b, seen := startDurable(t, tt.program, tt.kind, tt.give, tt.args...)
			var first broker.Receipt
			room := brokertest.Room(t)
			testkit.Succeeds(t, "the replicas are there", func() (err error) {
				first, err = publishDurable(t, b, room, "key")
				return err
			})
			// Again with the key: confirmed again, and sent once.
			again, err := publishDurable(t, b, room, "key")
			if err != nil || !again.Duplicate || again.Offset != first.Offset {
				t.Errorf("again with the key: %+v, %v, want a duplicate of %s", again, err, first.Offset)
			}
			// Many at once, in rooms that lie on all servers.
			var all sync.WaitGroup
			const rooms, each = 8, 10
			for r := range rooms {
				room := wire.Room{Warehouse: "many", Zone: fmt.Sprint(r)}
				all.Go(func() {
					for range each {
						if _, err := publishDurable(t, b, room, ""); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			seen.mu.Lock()
			defer seen.mu.Unlock()
			if len(seen.all) < rooms*each+2 {
				t.Errorf("%d waits were counted", len(seen.all))
			}
		})
	}
}

// The answer comes when the disk has it, not before: this one never flushes.
func TestDurableWaitsForTheDisk(t *testing.T) {
	_, b, seen := startDurable(t, valkey, stack.Single, broker.Durability{Timeout: 300 * time.Millisecond}, "--appendfsync", "no")
	room := brokertest.Room(t)
	receipt, err := publishDurable(t, b, room, "")
	wantCode(t, err, wire.CodeNotDurable, "the event was published")
	seen.want(t, broker.DurableTimeout)
	page, err := b.History(t.Context(), room, wire.Offset{Epoch: receipt.Offset.Epoch}, 10)
	testkit.Must(t, err)
	if len(page.Messages) != 1 || page.Messages[0].Offset != receipt.Offset {
		t.Errorf("the history has %v, want the event that was published", page.Messages)
	}
}

func TestDurableWaitsForReplicas(t *testing.T) {
	s, b, seen := startDurable(t, "redis-server", stack.Watched, broker.Durability{Replicas: 2, NoDisk: true, Timeout: time.Second})
	testkit.Succeeds(t, "both replicas have it", func() error {
		_, err := publishDurable(t, b, brokertest.Room(t), "key")
		return err
	})
	seen.mu.Lock()
	seen.all = nil
	seen.mu.Unlock()
	frozen := s.Redises[2]
	testkit.Must(t, syscall.Kill(frozen.PID(), syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(frozen.PID(), syscall.SIGCONT) })
	_, err := publishDurable(t, b, brokertest.Room(t), "")
	wantCode(t, err, wire.CodeNotDurable, "is not known to be durable")
	seen.want(t, broker.DurableTimeout)
	testkit.Must(t, syscall.Kill(frozen.PID(), syscall.SIGCONT))
	testkit.Must(t, frozen.Kill())
	testkit.Succeeds(t, "without the replica nothing is published", func() error {
		if _, err := publishDurable(t, b, brokertest.Room(t), ""); wire.AsError(err).Code != wire.CodeUnavailable {
			return fmt.Errorf("got %w", err)
		}
		return nil
	})
	_, err = publishDurable(t, b, brokertest.Room(t), "")
	wantCode(t, err, wire.CodeUnavailable, "nothing was published: durable needs 2 replicas of Redis (DURABLE_REPLICAS), and 1 are connected")
}

func TestDurableIsRefusedWhereItCantBeHad(t *testing.T) {
	for _, tt := range []struct {
		name string
		give broker.Durability
		args []string
		want string
	}{
		{"Redis is too old", broker.Durability{}, nil, "Redis is older than 7.2"},
		{"no append-only file", broker.Durability{}, []string{"--appendonly", "no"}, "set appendonly yes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, b, seen := startDurable(t, "redis-server", stack.Single, tt.give, tt.args...)
			room := brokertest.Room(t)
			_, err := publishDurable(t, b, room, "")
			wantCode(t, err, wire.CodeDurableUnsupported, "nothing was published")
			wantCode(t, err, wire.CodeDurableUnsupported, tt.want)
			seen.want(t)
			snapshot := brokertest.Subscribe(t, b, room)
			if snapshot.Offset.N != 0 {
				t.Errorf("the room stands at %s, although nothing was to be published", snapshot.Offset)
			}
		})
	}
	t.Run("memory", func(t *testing.T) {
		b := broker.NewMemory(broker.Limits{}, brokertest.NewRecorder(t))
		t.Cleanup(func() { b.Close() })
		_, err := publishDurable(t, b, brokertest.Room(t), "")
		wantCode(t, err, wire.CodeDurableUnsupported, "REDIS_URL")
	})
}

// A server that was restarted, or another one, may have lost what the first one accepted: that it
// has all of its own on disk says nothing.
func TestDurableIsNotConfirmedByAnotherServer(t *testing.T) {
	_, b, seen := startDurable(t, valkey, stack.Single, broker.Durability{Timeout: 20 * time.Second})
	err := broker.ConfirmAs(t.Context(), b, brokertest.Room(t), strings.Repeat("0", 40))
	wantCode(t, err, wire.CodeNotDurable, "it may be lost")
	seen.want(t, broker.DurableFailover)
}

// A publisher that goes away frees what waits for it.
func TestDurableEndsWithItsRequest(t *testing.T) {
	_, b, seen := startDurable(t, valkey, stack.Single, broker.Durability{Timeout: 20 * time.Second}, "--appendfsync", "no")
	receipt, err := b.Publish(t.Context(), broker.Publication{Room: brokertest.Room(t), Event: "E", Data: []byte(`1`), Durable: true})
	testkit.Must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantCode(t, receipt.Confirm(ctx), wire.CodeNotDurable, "the request ended")
	seen.want(t, broker.DurableTimeout)
}

// 64 publishers, each waiting for its answer, side by side at the same server.
func BenchmarkDurable(b *testing.B) {
	for _, fsync := range []string{"everysec", "always"} {
		s := stacktest.Start(b, stack.Options{Redis: true, RedisProgram: valkey, RedisArgs: []string{"--appendfsync", fsync}})
		r, err := broker.OpenRedis(b.Context(), broker.RedisOptions{Target: find(b, s), Durability: broker.Durability{Timeout: 20 * time.Second}},
			brokertest.NewRecorder(b))
		testkit.Must(b, err)
		for _, durable := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/durable=%v", fsync, durable), func(b *testing.B) {
				room := brokertest.Room(b)
				b.SetParallelism(64 / runtime.GOMAXPROCS(0))
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						receipt, err := r.Publish(b.Context(), broker.Publication{Room: room, Event: "E", Data: []byte(`{"n":1}`), Durable: durable})
						if err == nil && durable {
							err = receipt.Confirm(b.Context())
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "publishes/s")
			})
		}
		testkit.Must(b, r.Close())
	}
}
