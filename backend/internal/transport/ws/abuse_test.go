package ws_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/klauspost/compress/flate"

	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// Whatever a client does wrong, those beside it get everything, in order and in time; it costs what its bound says, and is
// counted by its reason. The bound of time is far above noise, and far below that of anyone who waits for such a client.
func TestWhateverOneDoesWrongOthersDoNotNotice(t *testing.T) {
	const members, messages, pace = 50, 300, 5 * time.Millisecond
	const inTime, memory = time.Second, 8 << 20
	for _, a := range []struct {
		name  string
		abuse func(s *server)
		code  wire.CloseCode
	}{
		{"never reads", func(s *server) { s.fill(s.raw("warehouse=w2"), nil) }, wire.CloseSlowConsumer},
		{"reads a byte a second", func(s *server) {
			r := s.raw("warehouse=w2")
			s.fill(r, time.NewTicker(time.Second).C)
		}, wire.CloseSlowConsumer},
		{"sends garbage", func(s *server) {
			noise := rand.New(rand.NewPCG(1, 2))
			for range 100 {
				r := s.raw("warehouse=w1&zone=a")
				p := make([]byte, 1000)
				for i := range p {
					p[i] = byte(noise.Uint32())
				}
				p[0] = final | 3 // an opcode that does not exist
				r.Write(p)
				r.Close()
			}
		}, wire.CloseBadFrame},
		{"fragments forever", func(s *server) {
			r := s.raw("warehouse=w1&zone=a")
			r.Write(frame(text, "{"))
			for empty := bytes.Repeat(frame(continuation, ""), 100); ; {
				if _, err := r.Write(empty); err != nil {
					return
				}
			}
		}, wire.CloseBadFrame},
		{"sends compression bombs", func(s *server) {
			bomb := deflated(make([]byte, 7<<20))
			for range 20 {
				r := s.rawOffering("warehouse=w1&zone=a", "permessage-deflate")
				r.Write(frame(final|0x40|text, bomb))
				r.end()
				r.Close()
			}
		}, wire.CloseTooBig},
		{"pings in a flood", func(s *server) {
			r := s.raw("warehouse=w1&zone=a")
			for pings := bytes.Repeat(frame(final|ping, "x"), 100); ; {
				if _, err := r.Write(pings); err != nil {
					return
				}
			}
		}, wire.CloseLimit},
		{"opens and closes in a loop", func(s *server) {
			for range 300 {
				s.raw("warehouse=w1&zone=a").Close()
			}
		}, wire.CloseGoingAway},
	} {
		t.Run(a.name, func(t *testing.T) {
			s := start(t, options{deflate: 1024, Options: transporttest.Options{Queued: 256 << 10, Limits: transport.Limits{
				Frames: limit.Rate{Tokens: wire.RateLimitTokens, Refill: wire.RateLimitRefill}}}})
			bystanders := make([]*bystander, members)
			for i := range bystanders {
				bystanders[i] = s.bystander()
			}
			before := liveHeap()
			var abusing sync.WaitGroup
			abusing.Go(func() { a.abuse(s) })
			for range messages {
				s.Publish(zone, "E", strconv.FormatInt(time.Now().UnixNano(), 10))
				time.Sleep(pace)
			}
			abusing.Wait()
			eventually(t, "it is counted as closed with "+a.code.String(), func() bool {
				return s.Counter("zonecast_connections_closed_total", "code="+a.code.String()) > 0
			})
			if grown := liveHeap() - before; grown > memory {
				t.Errorf("the heap has grown by %d bytes", grown)
			}
			var all []time.Duration
			for i, b := range bystanders {
				eventually(t, fmt.Sprintf("bystander %d has everything", i), func() bool { return len(b.latencies()) == messages })
				all = append(all, b.latencies()...)
			}
			slices.Sort(all)
			p99 := all[len(all)*99/100]
			t.Logf("p99 of the bystanders: %v", p99)
			if p99 > inTime {
				t.Errorf("the bystanders' p99 is %v", p99)
			}
		})
	}
}

// fill publishes to w2 until r, which is its only member and reads a byte whenever it is told to, is closed as slow.
func (s *server) fill(r *raw, read <-chan time.Time) {
	_ = r.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	data := `"` + strings.Repeat("x", 8000) + `"`
	one := make([]byte, 1)
	for s.Counter("zonecast_connections_closed_total", "code=slow_consumer") == 0 {
		select {
		case <-read:
			_, _ = r.Read(one)
		default:
		}
		s.Publish(wire.Room{Warehouse: "w2"}, "E", data)
		time.Sleep(time.Millisecond)
	}
}

// deflated returns the payload of a compressed message.
func deflated(p []byte) string {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, 9)
	_, _ = w.Write(p)
	_ = w.Flush()
	return out.String()
}

// liveHeap returns how many bytes are reachable.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A bystander notes how long each message took.
type bystander struct {
	mu   sync.Mutex
	took []time.Duration
}

func (b *bystander) latencies() []time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.took)
}

func (s *server) bystander() *bystander {
	s.t.Helper()
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+s.address+"/ws?warehouse=w1&zone=a", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	b := new(bystander)
	if _, _, err := conn.ReadMessage(); err != nil { // connected
		s.t.Fatal(err)
	}
	go func() {
		for next := uint64(1); ; {
			_, p, err := conn.ReadMessage()
			if err != nil {
				return
			}
			f, err := wire.DecodeServer(p)
			if err != nil || f.Event != "E" {
				continue
			}
			var sent int64
			at, _ := wire.ParseOffset(f.Offset)
			if err := json.Unmarshal(f.Data, &sent); err != nil || at.N != next {
				s.t.Errorf("a bystander got %s, want number %d", p, next)
				return
			}
			next++
			b.mu.Lock()
			b.took = append(b.took, time.Since(time.Unix(0, sent)))
			b.mu.Unlock()
		}
	}()
	return b
}
