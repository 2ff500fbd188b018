// Package brokertest holds every broker to the promises of [broker.Broker].
//
//	memory_test, redis_test ── Run(t, open) ──▶ one subtest per promise ──▶ the broker ──▶ Recorder
//
// The rooms of each subtest are its own, so that several suites may share one store. Delivery may
// come later than the receipt: whatever is expected to arrive is waited for, up to
// [testkit.Patience]; nothing sleeps for a fixed time.
package brokertest

import (
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// Open returns a broker with these limits that delivers to h. The suite closes it.
type Open func(t *testing.T, limits broker.Limits, h broker.Handler) broker.Broker

// Run holds the brokers that open returns to the contract. How a broker bounds the memory of all
// rooms together (Limits.Bytes, Total and Keys) is its own: see its own tests.
func Run(t *testing.T, open func(t *testing.T, limits broker.Limits, h broker.Handler) broker.Broker) {
	promises := []struct {
		name string
		hold func(t *testing.T, open Open)
	}{
		{"offsets count 1 2 3 within one epoch", offsetsCount},
		{"each room counts by itself", roomsCountAlone},
		{"concurrent publishers get distinct offsets", concurrentOffsets},
		{"a room's messages are delivered in order under concurrent publishers", orderOfDelivery},
		{"many rooms at once are delivered in order", manyRooms},

		{"a known idempotency key returns the first offset and delivers nothing", knownKey},
		{"a known idempotency key is refused for another message", keyOfAnother},
		{"a message is accepted once when its key comes several times at once", keyAtOnce},
		{"keys of different rooms are different keys", keysByRoom},
		{"a refused publication does not use up its key", refusedKey},
		{"keys of different callers are different keys", keysByCaller},

		{"a snapshot has the latest of each retained event in order", retainedInOrder},
		{"what is retained outlives the history", retainedOutlives},
		{"no more events are retained than the limit", retainedLimit},
		{"an alert is kept by its id until it is cleared", alertsByID},
		{"a snapshot that lists alerts takes the place of those before it", alertsListed},
		{"an alert that a snapshot lists is cleared for newcomers as well", alertsListedAndCleared},
		{"no more alerts are kept than the limit, but for critical ones", alertsLimit},
		{"an alert that has expired makes room", alertsExpire},
		{"an acknowledgement does not outlive its alert", acknowledgementsEnd},
		{"what is retained for longer than the limit is gone", retainedAge},

		{"a deleted event is not retained any more", deleteRetained},
		{"a deleted room has another epoch, and its members a gap", deleteRoom},
		{"what is not there is not deleted", deleteNothing},

		{"a warehouse has no more rooms than its quota", quotaRooms},
		{"rooms keep less near the quota of history", quotaHistory},
		{"a warehouse retains no more than its quota", quotaRetained},
		{"a warehouse at its quota does not stop others", quotaOfOne},

		{"the zones of a warehouse are those that were published to", zonesPublishedTo},

		{"each message after the snapshot is delivered once and in order", subscribeWhilePublishing},
		{"nothing is delivered of rooms that are not subscribed to", onlySubscribed},
		{"a room that nobody published to stands at 0", emptyRoom},
		{"an empty room keeps its epoch", emptyRoomEpoch},

		{"history returns what follows an offset", historyFollows},
		{"history comes in pages without holes", historyPages},
		{"history answers what the room never had with a gap", historyUnknown},
		{"history beyond the limit of messages is a gap", historyWindow},
		{"history beyond the limit of age is a gap, and a quiet room has none", historyAge},
		{"history while publishing has no holes", historyWhilePublishing},

		{"data arrives byte for byte", dataAsSent},
		{"a message carries what was published and when", metadata},
		{"a message carries the name that it is conflated by", conflateNames},

		{"a canceled call is done or not done", canceled},
		{"a broker that works is healthy", healthy},
		{"calls after Close are unavailable", closed},
		{"Close while publishing loses no accepted message's order", closeWhilePublishing},
	}
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) { p.hold(t, open) })
	}
}

// start opens a broker that delivers to a new recorder, and closes it with the test.
func start(t *testing.T, open Open, limits broker.Limits) (broker.Broker, *Recorder) {
	t.Helper()
	r := NewRecorder(t)
	b := open(t, limits, r)
	t.Cleanup(func() { b.Close() })
	return b, r
}

// Subscribe subscribes to the room, which must be possible.
func Subscribe(t testing.TB, b broker.Broker, room wire.Room) broker.Snapshot {
	t.Helper()
	s, err := b.Subscribe(t.Context(), room)
	testkit.Must(t, err)
	return s
}

func healthy(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{})
	testkit.Must(t, b.Health())
	publish(t, b, broker.Publication{Room: Room(t)})
	testkit.Must(t, b.Health())
}
