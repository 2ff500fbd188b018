package e2e_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// Publishers that send as fast as they can outrun a room of 1,000: they wait, and all that was
// acknowledged reaches everybody. Through Redis the publishers are at an instance where nobody is
// in the room. The readers share a machine with the servers, and the race detector slows them down:
// one of them may not come to read for a second, in which a room like this moves on by more than
// the usual bound of 1 MiB.
func TestAFloodReachesEverybodyInARoomOfAThousand(t *testing.T) {
	settings := map[string]string{"MAX_QUEUED_BYTES": "4194304", "RATE_LIMIT_TOKENS": "0", "HISTORY_MESSAGES": "10", "PONG_TIMEOUT": "5m"} // the readers answer no pings
	for _, size := range []int{128, 4 << 10} {
		t.Run(fmt.Sprint(size, " bytes, one instance"), func(t *testing.T) {
			i := alone(t, settings).Instances[0]
			floodRoom(t, i, i, size)
		})
		t.Run(fmt.Sprint(size, " bytes, two instances"), func(t *testing.T) {
			s := shared(t, 2, settings)
			floodRoom(t, s.Instances[0], s.Instances[1], size)
		})
	}
}

func floodRoom(t *testing.T, publishing, reading *stack.Server, size int) {
	const members, publishers, flooding = 1000, 16, 3 * time.Second
	var room [members]*member
	for m := range room {
		room[m] = follow(t, reading.Address, "flood")
	}
	var acknowledged, refused atomic.Uint64
	over := time.Now().Add(flooding)
	var flooders sync.WaitGroup
	for range publishers {
		publisher := dial(t, publishing.WebSocket())
		flooders.Go(func() { flood(t, publisher, size, over, &acknowledged, &refused) })
	}
	flooders.Wait()
	if acknowledged.Load() == 0 {
		t.Fatal("nothing was acknowledged")
	}
	// Whether anyone had to wait depends on the machine: publishing may be more work than it can do
	// before the members are behind.
	t.Logf("%d acknowledged, %d refused, %v waited", acknowledged.Load(), refused.Load(), metric(t, publishing.URL, "zonecast_publish_waits_total"))
	testkit.Succeeds(t, "everybody has got everything", func() error {
		for i, m := range room {
			if n := m.got.Load(); n != acknowledged.Load() {
				return fmt.Errorf("member %d has got %d of %d", i, n, acknowledged.Load())
			}
		}
		return nil
	})
	if n := metric(t, reading.URL, `zonecast_messages_dropped_total{reason="slow_consumer"}`); n != 0 {
		t.Errorf("%v frames were dropped", n)
	}
}

// flood publishes until it is over: the next one as soon as some are not yet answered.
func flood(t *testing.T, c *client, size int, over time.Time, acknowledged, refused *atomic.Uint64) {
	const open = 16 // publications without an answer
	slots := make(chan struct{}, open)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range slots {
			c.conn.SetReadDeadline(time.Now().Add(patience)) // not that of dial: a flood may take longer
			_, p, err := c.conn.ReadMessage()
			for err == nil && bytes.HasPrefix(p, []byte(`{"event":"heartbeat"`)) { // which answers nothing
				_, p, err = c.conn.ReadMessage()
			}
			switch {
			case err != nil:
				t.Errorf("a publisher: %v", err)
				return
			case bytes.HasPrefix(p, []byte(`{"event":"ack"`)):
				acknowledged.Add(1)
			case bytes.Contains(p, []byte(`"rate_limited"`)):
				refused.Add(1)
			default:
				t.Errorf("a publisher was answered %s", p)
			}
		}
	}()
	text := fmt.Sprintf(`{"event":"publish","id":1,"data":{"warehouse":"warehouse-1","zone":"flood","event":"E","data":%q}}`,
		strings.Repeat("x", size))
	for time.Now().Before(over) {
		if err := c.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Errorf("a publisher: %v", err)
			break
		}
		select {
		case slots <- struct{}{}:
		case <-done:
			return
		}
	}
	close(slots)
	<-done
}
