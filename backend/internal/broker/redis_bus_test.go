package broker_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/broker/brokertest"
	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/internal/redisconn"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// refusals counts what a broker refused.
type refusals struct {
	mu  sync.Mutex
	all map[string]int // "kind reason"
}

func (r *refusals) note(kind bus.Kind, reason bus.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[string]int{}
	}
	r.all[fmt.Sprintf("%s %s", kind, string(reason))]++
}

func (r *refusals) await(t *testing.T, what string, n int) {
	t.Helper()
	testkit.Succeeds(t, what+" is counted", func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.all[what] < n {
			return fmt.Errorf("%d %s, want %d of %v", r.all[what], what, n, r.all)
		}
		return nil
	})
}

// Whoever may publish in Redis but has not the key reaches no member: neither with words of his own
// nor with a message of an instance, repeated, changed or moved to another room. What instances
// publish arrives meanwhile, each once.
func TestWhoHasPubSubButNoKeyReachesNobody(t *testing.T) {
	s := startKind(t, stack.Single)
	var refused refusals
	p := newPair(t, s.RedisURL, broker.RedisOptions{OnRefuse: refused.note})
	other := brokertest.Room(t)
	otherRecorder := brokertest.NewRecorder(t)
	brokertest.Subscribe(t, openRedis(t, broker.RedisOptions{Target: findURL(t, s.RedisURL), OnRefuse: refused.note}, otherRecorder), other)

	stranger := findURL(t, s.RedisURL).Client(redisconn.Tuning{Timeout: 10 * time.Second}).(*redis.Client)
	defer stranger.Close()
	channels, err := stranger.PubSubShardChannels(t.Context(), "*{"+p.room.String()+"}*").Result()
	if err != nil || len(channels) != 1 {
		t.Fatalf("channels %q, %v", channels, err)
	}
	heard := stranger.SSubscribe(t.Context(), channels[0])
	defer heard.Close()
	_, err = heard.Receive(t.Context())
	testkit.Must(t, err)
	p.publish(t, 1)
	genuine, err := heard.ReceiveMessage(t.Context())
	testkit.Must(t, err)
	say := func(room wire.Room, text string) {
		t.Helper()
		channel := strings.Replace(genuine.Channel, p.room.String(), room.String(), 1)
		testkit.Must(t, stranger.SPublish(t.Context(), channel, text).Err())
	}
	first := p.recorder.WantExactly(p.room, 1, 1)[0].Offset
	for _, forged := range []string{
		fmt.Sprintf("%s 2 1 0  ALERT\n{}", first.Epoch),
		fmt.Sprintf("%s 2 1 0 , ALERT\n{}", first.Epoch),
	} {
		say(p.room, forged)
	}
	refused.await(t, "message unsigned", 2)
	say(p.room, strings.Replace(genuine.Payload, first.Epoch+" 1 ", first.Epoch+" 2 ", 1))
	refused.await(t, "message replayed", 1)
	say(p.room, genuine.Payload[:len(genuine.Payload)-1]+"7")
	refused.await(t, "message forged", 1)
	say(other, genuine.Payload)
	refused.await(t, "message forged", 2)

	p.publish(t, 9)
	p.recorder.WantExactly(p.room, 1, 10)
	if got := otherRecorder.Messages(other); len(got) > 0 {
		t.Errorf("%d messages arrived in another room", len(got))
	}
}

// What lies in a room's stream and is no message is refused, whoever put it there: it would break
// the frames of all members. They are told of the gap, and what follows arrives.
func TestWhatIsNoMessageIsRefused(t *testing.T) {
	s := startKind(t, stack.Single)
	var refused refusals
	p := newPair(t, s.RedisURL, broker.RedisOptions{OnRefuse: refused.note})
	p.publish(t, 1)
	p.recorder.WantExactly(p.room, 1, 1)
	p.publishUnheard(t, s.RedisURL, `1},{"event":"ALERT"`)
	p.publish(t, 2)
	testkit.Succeeds(t, "the last message arrives", func() error {
		if all := p.recorder.Messages(p.room); all[len(all)-1].Offset.N != 4 {
			return fmt.Errorf("%d messages, %v at last", len(all), all[len(all)-1].Offset)
		}
		return nil
	})
	if gaps := p.recorder.Gaps(p.room); len(gaps) != 1 || gaps[0].From.N != 1 || gaps[0].To.N != 2 {
		t.Errorf("gaps %v", gaps)
	}
	refused.await(t, "stored malformed", 1)
}
