package ws_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/klauspost/compress/flate"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// abusers do the same wrong at once, in the room of the bystanders.
const abusers = 3

// An abuse is what one client does wrong, at most until the connections of all abusers have ended.
type abuse struct {
	name       string
	extensions string
	do         func(r *raw, ended <-chan struct{})
	code       wire.CloseCode // of each
	// refused is how often each is refused a frame before its end; forgiven ones add to that.
	refused int
}

var abuses = []abuse{
	{name: "never reads", code: wire.CloseSlowConsumer, do: func(r *raw, ended <-chan struct{}) {
		_ = r.Conn.(*net.TCPConn).SetReadBuffer(4 << 10) // so that the socket is full early
		<-ended
	}},
	{name: "reads a byte a second", code: wire.CloseSlowConsumer, do: func(r *raw, ended <-chan struct{}) {
		_ = r.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		one, tick := make([]byte, 1), time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = r.Read(one)
			case <-ended:
				return
			}
		}
	}},
	{name: "sends garbage", code: wire.CloseBadFrame, do: func(r *raw, ended <-chan struct{}) {
		noise := rand.New(rand.NewPCG(1, 2))
		p := make([]byte, 1000)
		for i := range p {
			p[i] = byte(noise.Uint32())
		}
		p[0] = final | 3 // an opcode that does not exist
		r.repeat(p, ended)
	}},
	{name: "fragments forever", code: wire.CloseBadFrame, do: func(r *raw, ended <-chan struct{}) {
		_, _ = r.Write(frame(text, "{"))
		r.repeat(bytes.Repeat(frame(continuation, ""), 100), ended)
	}},
	{name: "sends compression bombs", extensions: "permessage-deflate", code: wire.CloseTooBig, do: func(r *raw, ended <-chan struct{}) {
		r.repeat(frame(final|compressed|text, bomb()), ended)
	}},
	{name: "sends a compression bomb in parts", extensions: "permessage-deflate", code: wire.CloseTooBig, do: func(r *raw, ended <-chan struct{}) {
		_, _ = r.Write(frame(compressed|text, bomb()))
		r.repeat(frame(continuation, bomb()), ended)
	}},
	{name: "pings in a flood", code: wire.CloseLimit, refused: wire.RefusalsBeforeClose + 1, do: func(r *raw, ended <-chan struct{}) {
		r.repeat(bytes.Repeat(frame(final|ping, "x"), 100), ended)
	}},
	{name: "opens and closes in a loop", code: wire.CloseGoingAway, do: func(*raw, <-chan struct{}) {}},
}

// bomb is a compressed message just below the limit of a frame; it inflates a thousandfold.
var bomb = sync.OnceValue(func() string { return deflated(make([]byte, 7<<20)) })

// repeat sends the same again and again, as long as it can.
func (r *raw) repeat(p []byte, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		default:
		}
		if _, err := r.Write(p); err != nil {
			return
		}
	}
}

// Whatever a client does wrong, those beside it in its room get everything, in order and in time;
// it costs what its bound says, while it is at it; and each is counted by its reason. The bounds of
// time are far above noise, and far below what anyone meets who waits for such a client.
func TestWhateverOneDoesWrongOthersDoNotNotice(t *testing.T) {
	const members, messages = 10, 40
	const queued = 256 << 10
	// Each abuser may have its queue full, and a part of it in the hands of its writer or, what
	// comes in, of its reader. The test's own side of all this, and what the runtime keeps of
	// goroutines that have ended, take the rest. What all bombs inflate to is far more.
	const memory = abusers*(queued+64<<10) + 12<<20
	bomb()
	for _, a := range abuses {
		t.Run(a.name, func(t *testing.T) {
			s := start(t, options{deflate: 1024, Options: transporttest.Options{Queued: queued, History: 10, Limits: transport.Limits{
				Frames: limit.Rate{Tokens: wire.RateLimitTokens, Refill: wire.RateLimitRefill}}}})
			bystanders := make([]*bystander, members)
			for i := range bystanders {
				bystanders[i] = s.bystander()
			}
			quiet := s.publishUntil(messages, func() bool { return true })
			before := latenciesOf(t, bystanders, quiet.published)

			var rounds int
			var over atomic.Bool
			busy := make(chan phase)
			enough := make(chan struct{})
			go func() {
				busy <- s.publishUntil(messages, func() bool {
					select {
					case <-enough:
					default:
						close(enough)
					}
					return over.Load()
				})
			}()
			for more := true; more; rounds++ { // while messages are published
				s.abuse(a, rounds)
				select {
				case <-enough:
					more = false
				default:
				}
			}
			over.Store(true)
			during := <-busy
			after := latenciesOf(t, bystanders, during.published)

			all := float64(rounds * abusers)
			s.WantClosed(a.code, all)
			if closed, opened := s.Counter("zonecast_connections_closed_total"), s.Counter("zonecast_connections_opened_total"); closed != all || opened != all+members {
				t.Errorf("%v connections are counted as closed, %v as opened; %v did wrong beside %d others", closed, opened, all, members)
			}
			least := float64(a.refused) * all
			if n := s.Counter("zonecast_messages_dropped_total", "reason=rate_limited"); n < least || n > 2*least {
				t.Errorf("%v frames are counted as refused, want %v and a few", n, least)
			}
			if n := s.Counter("zonecast_messages_dropped_total", "reason=slow_consumer"); (n > 0) != (a.code == wire.CloseSlowConsumer) {
				t.Errorf("%v messages are counted as dropped", n)
			}
			t.Logf("%d rounds; heap %d KiB, and %d KiB with %d at it; p50 %v and %v, p99 %v and %v", rounds, quiet.heap>>10, during.heap>>10,
				abusers, before.p50, after.p50, before.p99, after.p99)
			if grown := during.heap - quiet.heap; grown > memory {
				t.Errorf("the heap is larger by %d bytes while %d are at it, want at most %d", grown, abusers, memory)
			}
			if after.p50 > 10*before.p50+500*time.Millisecond {
				t.Errorf("the bystanders' p50 was %v, and is %v", before.p50, after.p50)
			}
			if after.p99 > 10*before.p99+2*time.Second {
				t.Errorf("the bystanders' p99 was %v, and is %v", before.p99, after.p99)
			}
		})
	}
}

// abuse lets all abusers have their way once, after so many rounds of that.
func (s *server) abuse(a abuse, rounds int) {
	var all sync.WaitGroup
	ended := make(chan struct{})
	for range abusers {
		r := s.visitor("warehouse=w1&zone=a", a.extensions)
		all.Go(func() {
			defer r.Close()
			a.do(r, ended)
		})
	}
	if a.code != wire.CloseGoingAway { // otherwise they end by themselves
		s.WantClosed(a.code, float64((rounds+1)*abusers))
	}
	close(ended)
	all.Wait()
	time.Sleep(2 * time.Millisecond) // the processors are the bystanders' as well
}

// A phase is what publishing for a while came to.
type phase struct {
	published int
	heap      int64 // the most that was reachable at any time
}

// publishUntil publishes at a steady pace: at least so many messages, and then until it is over.
func (s *server) publishUntil(least int, over func() bool) (p phase) {
	const pace, look = 10 * time.Millisecond, 10
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for p.published < least || !over() {
		data := fmt.Appendf(nil, `{"sent":%d,"pad":%q}`, time.Now().UnixNano(), padding)
		if _, err := s.Hub.Publish(context.Background(), broker.Publication{Room: zone, Event: "E", Data: data}); err != nil {
			s.t.Errorf("publish: %v", err)
			return p
		}
		if p.published++; p.published%look == 0 {
			p.heap = max(p.heap, testkit.LiveHeap())
		}
		<-tick.C
	}
	return p
}

// padding makes the messages so large that a client that does not read them is soon noticed.
var padding = strings.Repeat("x", 32_000)

// deflated returns the payload of a compressed message.
func deflated(p []byte) string {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, 9)
	_, _ = w.Write(p)
	_ = w.Flush()
	return strings.TrimSuffix(out.String(), "\x00\x00\xff\xff") // RFC 7692 section 7.2.1
}

// A bystander notes how long each message took.
type bystander struct {
	mu   sync.Mutex
	took []time.Duration
}

// latencies are how long messages took to the bystanders.
type latencies struct{ p50, p99 time.Duration }

// latenciesOf waits until each bystander has got so many messages more, and forgets them.
func latenciesOf(t *testing.T, bystanders []*bystander, messages int) latencies {
	t.Helper()
	var all []time.Duration
	for i, b := range bystanders {
		eventually(t, fmt.Sprintf("bystander %d has everything", i), func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			if len(b.took) != messages {
				return false
			}
			all = append(all, b.took...)
			b.took = b.took[:0]
			return true
		})
	}
	slices.Sort(all)
	return latencies{all[len(all)/2], all[len(all)*99/100]}
}

func (s *server) bystander() *bystander {
	s.t.Helper()
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+s.address+"/ws?warehouse=w1&zone=a", nil)
	testkit.Must(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	b := new(bystander)
	if _, _, err := conn.ReadMessage(); err != nil { // connected
		s.t.Fatal(err)
	}
	go func() {
		var buf bytes.Buffer // read into again and again: the heap is the server's
		for next := uint64(1); ; {
			buf.Reset()
			_, in, err := conn.NextReader()
			if err != nil {
				return
			}
			if _, err := buf.ReadFrom(in); err != nil {
				return
			}
			p := buf.Bytes()
			if !bytes.HasPrefix(p, []byte(`{"event":"E"`)) {
				continue
			}
			at, err := wire.ParseOffset(between(p, `"offset":"`, `"`)) // so are the processors
			sent, _ := strconv.ParseInt(between(p, `"sent":`, `,`), 10, 64)
			if err != nil || at.N != next {
				s.t.Errorf("a bystander got %.100s, want number %d", p, next)
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

// between returns what stands between two texts in p.
func between(p []byte, before, after string) string {
	_, rest, _ := bytes.Cut(p, []byte(before))
	found, _, _ := bytes.Cut(rest, []byte(after))
	return string(found)
}
