package broker_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/broker/brokertest"
	"github.com/zonecast/zonecast/backend/internal/redisconn"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// Rooms that nobody published to: anybody may ask for any.

// allKeys returns the names of all keys, in order.
func allKeys(t *testing.T, url string) (names []string) {
	t.Helper()
	list, _ := command(t, url, "KEYS", "*").([]any)
	for _, name := range list {
		names = append(names, fmt.Sprint(name))
	}
	slices.Sort(names)
	return names
}

// However rooms are asked for that nobody published to, nothing is kept for them.
func TestRedisKeepsNothingOfRoomsThatNobodyPublishedTo(t *testing.T) {
	url := startRedis(t).URL
	b := openRedis(t, broker.RedisOptions{Target: findURL(t, url)}, brokertest.NewRecorder(t))
	testkit.Eventually(t, "the broker has begun", func() bool { return command(t, url, "EXISTS", "zonecast:watch") == int64(1) })
	before := allKeys(t, url)
	for range 50 {
		room := brokertest.Room(t)
		s := brokertest.Subscribe(t, b, room)
		for _, after := range []wire.Offset{{}, s.Offset, {Epoch: s.Offset.Epoch, N: 7}, {Epoch: "stranger"}, {Epoch: "stranger", N: 1 << 62}} {
			_, err := b.History(t.Context(), room, after, 100)
			testkit.Must(t, err)
		}
		_, err := b.DeleteRetained(t.Context(), room, "E")
		testkit.Must(t, err)
		_, err = b.DeleteRoom(t.Context(), room)
		testkit.Must(t, err)
		b.Unsubscribe(room)
	}
	if now := allKeys(t, url); !slices.Equal(now, before) {
		t.Errorf("the keys are %q, before they were %q", now, before)
	}
}

// Whoever saw a room empty has missed nothing when it comes back: at another instance, after Redis
// was started anew, before the first message and after it.
func TestRedisAnEmptyRoomCanBeResumed(t *testing.T) {
	for name, kind := range map[string]stack.Kind{"one server": stack.Single, "a cluster": stack.Clustered} {
		t.Run(name, func(t *testing.T) {
			s := startKind(t, kind)
			target := find(t, s)
			here, there := brokertest.NewRecorder(t), brokertest.NewRecorder(t)
			room := brokertest.Room(t)
			one := openRedis(t, broker.RedisOptions{Target: target}, here)
			empty := brokertest.Subscribe(t, one, room).Offset
			if kind == stack.Single {
				testkit.Must(t, s.Redis.Kill())
				testkit.Must(t, s.Redis.Start(t.Context()))
				testkit.Eventually(t, "health tells that Redis is back", func() bool { return one.Health() == nil })
			}
			another := openRedis(t, broker.RedisOptions{Target: target}, there)
			testkit.Succeeds(t, "the other instance is in the room", func() error {
				at, err := another.Subscribe(t.Context(), room)
				if err == nil && at.Offset != empty {
					t.Errorf("it stands at %s there, and at %s here", at.Offset, empty)
				}
				return err
			})
			page, err := another.History(t.Context(), room, empty, 10)
			if err != nil || page.Gap != nil || len(page.Messages) > 0 {
				t.Errorf("resumed before the first message: %+v %v", page, err)
			}
			testkit.Succeeds(t, "the first message is accepted", func() error {
				receipt, err := another.Publish(t.Context(), broker.Publication{Room: room, Event: "E", Data: []byte("1")})
				if err == nil && receipt.Offset != empty.Next() {
					t.Errorf("it got the offset %s, want %s", receipt.Offset, empty.Next())
				}
				return err
			})
			here.WantExactly(room, 1, 1) // without a gap
			there.WantExactly(room, 1, 1)
			page, err = one.History(t.Context(), room, empty, 10)
			if err != nil || page.Gap != nil || len(page.Messages) != 1 {
				t.Errorf("resumed after the first message: %+v %v", page, err)
			}
		})
	}
}

// When Redis was emptied, nobody knows what was published to a room that had been empty before.
func TestRedisEmptiedIsAGapInEmptyRoomsToo(t *testing.T) {
	url := startRedis(t).URL
	b := openRedis(t, broker.RedisOptions{Target: findURL(t, url)}, brokertest.NewRecorder(t))
	room := brokertest.Room(t)
	empty := brokertest.Subscribe(t, b, room).Offset
	b.Unsubscribe(room)
	lost := brokertest.Publish(t, b, broker.Publication{Room: room}).Offset
	command(t, url, "FLUSHALL")
	for _, after := range []wire.Offset{empty, lost} {
		page, err := b.History(t.Context(), room, after, 10)
		if err != nil || page.Gap == nil || page.Gap.To.N != 0 || page.Gap.To.Epoch == empty.Epoch {
			t.Errorf("after %s: %+v %v, want a gap to another epoch", after, page, err)
		}
	}
	if again := brokertest.Publish(t, b, broker.Publication{Room: room}).Offset; again == lost {
		t.Errorf("%s was given twice", again)
	}
}

// Nor when Redis lost the only messages of a room that an instance had delivered.
func TestRedisLosesTheFirstMessages(t *testing.T) {
	url := startRedis(t).URL
	p := newPair(t, url, broker.RedisOptions{})
	p.publish(t, 3)
	last := p.recorder.WantExactly(p.room, 1, 3)[2].Offset
	before := command(t, url, "GET", "zonecast:life")
	key := "zonecast:{" + p.room.String() + "}"
	command(t, url, "DEL", key+":meta", key+":stream", key+":retained")
	command(t, url, "CLIENT", "KILL", "TYPE", "pubsub")
	testkit.Eventually(t, "the gap", func() bool { return len(p.recorder.Gaps(p.room)) == 1 })
	if gap := p.recorder.Gaps(p.room)[0]; gap.From != last || gap.To.N != 0 || gap.To.Epoch == last.Epoch {
		t.Errorf("told of %+v", gap)
	}
	testkit.Eventually(t, "empty rooms have another epoch", func() bool { return command(t, url, "GET", "zonecast:life") != before })
	if again := brokertest.Publish(t, p.publisher, broker.Publication{Room: p.room}).Offset; again.N != 1 || again.Epoch == last.Epoch {
		t.Errorf("the next message got the offset %s", again)
	}
}

// A part of a cluster that comes back empty takes its rooms' epoch along, however the others stand:
// who has seen as many messages as there are again is told a gap.
func TestRedisAShardThatComesBackEmptyIsAGap(t *testing.T) {
	s := startKind(t, stack.Clustered)
	target := find(t, s)
	b := openRedis(t, broker.RedisOptions{Target: target}, brokertest.NewRecorder(t))
	client := target.Client(redisconn.Tuning{}).(*redis.ClusterClient)
	defer client.Close()
	for range 6 { // rooms of several shards
		room := brokertest.Room(t)
		empty := brokertest.Subscribe(t, b, room).Offset
		b.Unsubscribe(room)
		var last wire.Offset
		for range 3 {
			last = brokertest.Publish(t, b, broker.Publication{Room: room}).Offset
		}
		shard, err := client.MasterForKey(t.Context(), "{"+room.String()+"}")
		testkit.Must(t, err)
		testkit.Must(t, shard.FlushAll(t.Context()).Err())
		for range 5 {
			brokertest.Publish(t, b, broker.Publication{Room: room})
		}
		for _, after := range []wire.Offset{empty, last} {
			page, err := b.History(t.Context(), room, after, 10)
			if err != nil || page.Gap == nil || page.Gap.To.Epoch == last.Epoch {
				t.Errorf("after %s: %+v %v, want a gap to another epoch", after, page, err)
			}
		}
	}
}
