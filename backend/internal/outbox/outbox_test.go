package outbox_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// lines is the encoding of these tests: one frame a line.
var lines = &outbox.Encoding{
	Append:  func(dst []byte, f *outbox.Frame) []byte { return append(append(dst, f.JSON...), '\n') },
	Closing: func(code wire.CloseCode, reason string) []byte { return fmt.Appendf(nil, "close %d\n", code) },
}

type meter struct{ messages, bytes, dropped, lost, latencies, queued, conflated, slow atomic.Int64 }

func (m *meter) Written(_ string, messages, bytes int) {
	m.messages.Add(int64(messages))
	m.bytes.Add(int64(bytes))
}
func (m *meter) Latencies(_ string, d, queued []time.Duration) {
	m.queued.Add(int64(len(queued)))
	m.latencies.Add(int64(len(d)))
}
func (m *meter) DroppedSlow(messages int) { m.dropped.Add(int64(messages)) }
func (m *meter) DroppedLost(messages int) { m.lost.Add(int64(messages)) }
func (m *meter) Conflated()               { m.conflated.Add(1) }
func (m *meter) Slow(n int)               { m.slow.Add(int64(n)) }

// start returns a pool whose end is checked: nothing waits, no writer runs.
func start(t testing.TB, opts outbox.Options) (*outbox.Pool, *meter) {
	t.Helper()
	m := new(meter)
	opts.Meter = m
	p := outbox.NewPool(opts)
	t.Cleanup(func() {
		p.Close()
		if n := p.QueuedBytes(); n != 0 {
			t.Errorf("%d bytes still wait after the end", n)
		}
	})
	return p, m
}

// pair returns the two ends of a TCP connection. The server's send buffer is small, so that a
// reader that stops is noticed early.
func pair(t testing.TB) (server, client *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	testkit.Must(t, err)
	s, err := ln.Accept()
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close(); s.Close() })
	s.(*net.TCPConn).SetWriteBuffer(16 << 10)
	c.(*net.TCPConn).SetReadBuffer(16 << 10)
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

func message(i int) *outbox.Frame {
	return &outbox.Frame{Kind: outbox.Message, JSON: fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 100)),
		Accepted: time.Now().UnixMicro(), FannedOut: time.Now().UnixMicro(),
		Message: outbox.Identity{Room: wire.Room{Warehouse: "w"}, Offset: wire.Offset{Epoch: "e", N: uint64(i + 1)}}}
}

// wantLines reads n lines that begin with rising numbers from first on.
func wantLines(t testing.TB, r *bufio.Reader, first, n int) {
	t.Helper()
	for i := first; i < first+n; i++ {
		line, err := r.ReadString('\n')
		var got int
		fmt.Sscanf(line, "%d", &got)
		if err != nil || got != i {
			t.Fatalf("read %.20q %v, want number %d", line, err, i)
		}
	}
}

// endAll hangs up and waits until the sockets are closed, as a transport does when its reader ends.
func endAll(t testing.TB, clients []*net.TCPConn, queues ...*outbox.Queue) {
	t.Helper()
	for _, q := range queues {
		q.Hangup(wire.CloseGoingAway)
	}
	for _, c := range clients {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		io.Copy(io.Discard, c)
	}
}

// Each message is written or counted as lost with its connection, even in its writer's hand.
func TestWhatIsLostWithAConnectionIsCounted(t *testing.T) {
	p, m := start(t, outbox.Options{})
	q, client := stalledQueue(t, p, lines)
	const n = 1000
	for i := 1; i < n; i++ {
		q.Push(message(i))
	}
	client.let(50_000)
	eventually(t, "some are written", func() bool { return m.messages.Load() > 0 })
	endAll(t, nil, q)
	eventually(t, "nothing waits", func() bool { return p.QueuedBytes() == 0 })
	if written, lost := m.messages.Load(), m.lost.Load(); lost == 0 || int64(n) != written+lost || m.dropped.Load() != 0 {
		t.Errorf("of %d messages %d were written, %d lost and %d dropped", n, written, lost, m.dropped.Load())
	}
}

func TestFramesLeaveInOrderAndWholeThroughEverySpeedOfReader(t *testing.T) {
	const n = 2000
	p, m := start(t, outbox.Options{})
	for _, pause := range []int{0, 100, 1000} { // after how many lines the reader rests
		t.Run(fmt.Sprint(pause), func(t *testing.T) {
			s, c := pair(t)
			q := p.NewQueue(s, lines, nil)
			go func() {
				for i := range n {
					for q.Stats().QueuedBytes > 100<<10 { // stay below the bound: this reader is slow, not dead
						<-q.AtLowWatermark()
					}
					q.Push(message(i))
				}
			}()
			r := bufio.NewReader(c)
			for i := 0; i < n; i += 100 {
				wantLines(t, r, i, 100)
				if pause > 0 && i%pause == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			endAll(t, []*net.TCPConn{c}, q)
			if got := q.Stats(); got.Messages != n || got.QueuedBytes != 0 {
				t.Errorf("stats %+v, want %d messages and nothing waiting", got, n)
			}
		})
	}
	eventually(t, "a writer hands on what it counted in its round", func() bool { return m.messages.Load() == 3*n && m.latencies.Load() == 3*n })
	if q := m.queued.Load(); q == 0 || q > m.messages.Load() || m.dropped.Load() != 0 {
		t.Errorf("%d waits were sampled of %d messages, %d dropped", q, m.messages.Load(), m.dropped.Load())
	}
}

func TestAReaderThatStopsIsClosedAsSlowAndHoldsUpNobody(t *testing.T) {
	const bound, frame = 64 << 10, 1 << 10
	p, m := start(t, outbox.Options{MaxQueuedBytes: bound, Writers: 1})
	slowS, slowC := pair(t)
	fastS, fastC := pair(t)
	slow, fast := p.NewQueue(slowS, lines, nil), p.NewQueue(fastS, lines, nil)
	r := bufio.NewReader(fastC)
	f := &outbox.Frame{Kind: outbox.Message, JSON: []byte(strings.Repeat("y", frame)), Accepted: 1}
	pushed := 0
	for ; slow.Code() == 0; pushed++ {
		if pushed > 10000 {
			t.Fatal("10 MB were taken for a client that reads nothing")
		}
		p.Fanout(f, []*outbox.Queue{slow, fast})
		if line, err := r.ReadString('\n'); err != nil || len(line) != frame+1 {
			t.Fatalf("the fast client read %d bytes: %v", len(line), err)
		}
		if w := slow.Stats().QueuedBytes; w > bound {
			t.Fatalf("%d bytes wait, the bound is %d", w, bound)
		}
	}
	if code := slow.Code(); code != wire.CloseSlowConsumer {
		t.Errorf("closed with %v", code)
	}
	if err := slow.Push(f); err != outbox.ErrClosed {
		t.Errorf("Push after the end: %v", err)
	}
	if m.dropped.Load() == 0 {
		t.Error("what was dropped was not counted")
	}
	// The client that reads again finds whole frames, then the reason.
	slowC.SetReadDeadline(time.Now().Add(10 * time.Second))
	for sc := bufio.NewScanner(slowC); ; {
		if !sc.Scan() {
			t.Fatalf("the end without a reason: %v", sc.Err())
		}
		if sc.Text() == "close 4408" {
			break
		}
		if len(sc.Text()) != frame {
			t.Fatalf("a line has %d bytes: a frame was cut", len(sc.Text()))
		}
	}
	endAll(t, []*net.TCPConn{fastC, slowC}, fast, slow)
}

func TestCloseSendsWhatWaitsThenTheReasonAndEndsWithoutAnAnswer(t *testing.T) {
	p, _ := start(t, outbox.Options{CloseGrace: 100 * time.Millisecond})
	s, c := pair(t)
	q := p.NewQueue(s, lines, nil)
	for i := range 10 {
		q.Push(message(i))
	}
	q.Close(wire.CloseRestart, "leaving")
	q.Close(wire.CloseLimit, "a second reason") // does not count
	if err := q.Push(message(11)); err != outbox.ErrClosed {
		t.Errorf("Push after Close: %v", err)
	}
	r := bufio.NewReader(c)
	wantLines(t, r, 0, 10)
	if line, _ := r.ReadString('\n'); line != "close 1012\n" {
		t.Errorf("read %q", line)
	}
	// A transport's reader gets an error when the grace is over; then it hangs up.
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("the reader was not ended")
	}
	endAll(t, []*net.TCPConn{c}, q)
	if q.Code() != wire.CloseRestart {
		t.Errorf("code %v", q.Code())
	}
}

func TestHangupWritesWhatTheSocketTakes(t *testing.T) {
	p, _ := start(t, outbox.Options{})
	s, c := pair(t)
	q := p.NewQueue(s, lines, nil)
	q.WriteRaw([]byte("answer to the close\n"))
	q.Hangup(wire.CloseGoingAway)
	got, err := io.ReadAll(c)
	if string(got) != "answer to the close\n" || err != nil {
		t.Errorf("read %q %v", got, err)
	}
}

func TestHangupEndsAStalledQueueAtOnce(t *testing.T) {
	p, _ := start(t, outbox.Options{CloseGrace: time.Hour})
	q, _ := stalledQueue(t, p, lines)
	for i := 0; q.Stats().QueuedBytes < 512<<10; i++ {
		q.Push(message(i))
	}
	endAll(t, nil, q) // Pool.Close in the cleanup waits for the queue's goroutine
}

func TestDrainedTellsAReplayWhenToGoOn(t *testing.T) {
	p, _ := start(t, outbox.Options{MaxQueuedBytes: 256 << 10})
	s, c := pair(t)
	q := p.NewQueue(s, lines, nil)
	n := 0
	for ; q.Stats().QueuedBytes < 128<<10; n++ {
		q.Push(message(n))
	}
	drained := q.AtLowWatermark()
	select {
	case <-drained:
		t.Fatal("drained with half of the bound waiting")
	default:
	}
	var reading sync.WaitGroup
	reading.Go(func() { io.Copy(io.Discard, c) })
	<-drained
	if w := q.Stats().QueuedBytes; w > 32<<10 {
		t.Errorf("drained with %d bytes waiting", w)
	}
	q.Close(wire.CloseGoingAway, "")
	<-q.AtLowWatermark() // a closing queue never lets a replay wait
	endAll(t, nil, q)
	reading.Wait()
}

func TestManyPublishersAndClosersAtOnce(t *testing.T) {
	const members, publishers, each = 50, 4, 200
	p, m := start(t, outbox.Options{})
	var queues []*outbox.Queue
	var clients []*net.TCPConn
	var reading sync.WaitGroup
	var received atomic.Int64
	for range members {
		s, c := pair(t)
		queues, clients = append(queues, p.NewQueue(s, lines, nil)), append(clients, c)
		reading.Go(func() {
			for sc := bufio.NewScanner(c); sc.Scan(); {
				received.Add(1)
			}
		})
	}
	var publishing sync.WaitGroup
	for range publishers {
		publishing.Go(func() {
			for i := range each {
				p.Fanout(message(i), queues[:members/2])
				p.Fanout(message(i), queues[members/2:])
			}
		})
	}
	for _, q := range queues[:5] {
		go q.Close(wire.CloseGoingAway, "")
		go q.Hangup(wire.CloseGoingAway)
	}
	publishing.Wait()
	for _, q := range queues {
		q.Close(wire.CloseRestart, "") // what waits goes out first
	}
	for _, c := range clients {
		c.CloseWrite()
	}
	for _, q := range queues { // the transport's reader sees the client's end
		for q.Stats().QueuedBytes > 0 {
			time.Sleep(time.Millisecond)
		}
		q.Hangup(wire.CloseGoingAway)
	}
	reading.Wait()
	if got, want := received.Load(), int64((members-5)*publishers*each); got < want {
		t.Errorf("received %d lines, want at least the %d of those that nobody closed early", got, want)
	}
	if m.dropped.Load() != 0 {
		t.Errorf("%d dropped", m.dropped.Load())
	}
}

func BenchmarkFanout(b *testing.B) {
	for _, members := range []int{10, 1000, 5000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			p, m := start(b, outbox.Options{})
			var queues []*outbox.Queue
			var clients []*net.TCPConn
			for range members {
				s, c := pair(b)
				s.SetWriteBuffer(1 << 20) // not those of the tests, which are small to be full soon
				c.SetReadBuffer(1 << 20)
				queues, clients = append(queues, p.NewQueue(s, lines, nil)), append(clients, c)
				go io.Copy(io.Discard, c)
			}
			b.ReportAllocs()
			for b.Loop() {
				for p.QueuedBytes() > int64(members)*50_000 { // so that nobody is closed as slow
					runtime.Gosched()
				}
				p.Fanout(message(0), queues)
			}
			for p.QueuedBytes() > 0 {
				runtime.Gosched()
			}
			delivered := m.messages.Load()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(delivered), "ns/delivery")
			if want := int64(b.N * members); int64(delivered) != want {
				b.Fatalf("%d of %d were delivered", delivered, want)
			}
			for i, q := range queues {
				q.Hangup(wire.CloseGoingAway)
				clients[i].Close()
			}
			for p.QueuedBytes() > 0 {
				time.Sleep(time.Millisecond)
			}
		})
	}
}
