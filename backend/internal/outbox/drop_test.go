package outbox_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// hold is a marker that keeps the writer until it is closed.
type hold chan struct{}

func (h hold) Mark(dst []byte, _ *outbox.Frame) []byte {
	<-h
	return dst
}

// However soon a queue is over its bound: the peer reads the response to its handshake first, and then why the connection ends.
func TestAQueueOverItsBoundStillAnswersTheHandshake(t *testing.T) {
	const bound = 64 << 10
	p, m := start(t, outbox.Options{MaxBytes: bound, Writers: 1})
	busyS, busyC := pair(t)
	s, c := pair(t)
	let := make(hold)
	busy, q := p.NewMarkedQueue(busyS, lines, let), p.NewQueue(s, lines)
	busy.Push(message(0)) // keeps the only writer away

	longest := "101 Switching Protocols " + strings.Repeat("t", 16<<10) // with a token among its subprotocols
	q.WriteRaw([]byte(longest + "\n"))
	pushed := int64(0)
	for ; q.Code() == 0; pushed++ {
		q.Push(message(int(pushed)))
	}
	close(let)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	for _, want := range []string{longest, "close 4408"} {
		if line, err := r.ReadString('\n'); err != nil || line != want+"\n" {
			t.Fatalf("read %.40q %v, want %.40q", line, err, want)
		}
	}
	if n := m.dropped.Load(); n != pushed {
		t.Errorf("%d of %d messages are counted as dropped", n, pushed)
	}
	endAll(t, []*net.TCPConn{c, busyC}, q, busy)
}

// A peer that reads nothing for a while, and is closed as slow for it, finds the answers to its own control frames, in their order.
func TestAQueueOverItsBoundKeepsWhatTheConnectionStandsOn(t *testing.T) {
	const pongs = 10
	p, m := start(t, outbox.Options{MaxBytes: 128 << 10})
	s, c := pair(t)
	q := p.NewQueue(s, lines)
	pushed := block(q)
	for i := range pongs {
		q.WriteRaw(fmt.Appendf(nil, "pong %d\n", i))
		q.Push(message(pushed))
		pushed++
	}
	q.Send(make([]byte, 48<<10)) // an answer that is not small
	for ; q.Code() == 0; pushed++ {
		q.Push(message(pushed))
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	var control []string
	messages := 0
	for sc := bufio.NewScanner(c); ; {
		if !sc.Scan() {
			t.Fatalf("the end without a reason: %v", sc.Err())
		}
		if line := sc.Text(); strings.HasPrefix(line, "pong") || strings.HasPrefix(line, "close") {
			control = append(control, line)
		} else if len(control) > 0 || len(line) > 48<<10 {
			t.Fatalf("read %.40q after %q", line, control)
		} else {
			messages++
		}
		if sc.Text() == "close 4408" {
			break
		}
	}
	for i := range pongs {
		if len(control) != pongs+1 || control[i] != fmt.Sprint("pong ", i) {
			t.Fatalf("read %q, want %d pongs in their order", control, pongs)
		}
	}
	if n := m.dropped.Load(); messages+int(n) != pushed {
		t.Errorf("of %d messages %d were read and %d are counted as dropped", pushed, messages, n)
	}
	endAll(t, []*net.TCPConn{c}, q)
}

// What is kept is bounded, too: neither many pongs nor large answers stay when a queue is over its bound.
func TestWhatAQueueOverItsBoundKeepsIsBounded(t *testing.T) {
	for name, push := range map[string]func(q *outbox.Queue) error{
		"pongs":   func(q *outbox.Queue) error { return q.WriteRaw([]byte("pong\n")) },
		"answers": func(q *outbox.Queue) error { return q.Send([]byte(strings.Repeat("x", 30_000))) },
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := start(t, outbox.Options{MaxBytes: 256 << 10})
			s, c := pair(t)
			q := p.NewQueue(s, lines)
			blockWith(q, 1, outbox.NewRaw([]byte(strings.Repeat("x", 1000)+"\n")))
			inHand := q.Stats().Waiting // with a part that is being written
			for push(q) == nil {
			}
			const most = 24<<10 + 1<<10 // and the closing frame
			if n := q.Stats().Waiting; q.Code() != wire.CloseSlowConsumer || n-inHand > most {
				t.Errorf("closed with %s, %d bytes still wait beside the %d of before", q.Code(), n-inHand, inHand)
			}
			go io.Copy(io.Discard, c)
			eventually(t, "what is kept leaves", func() bool { return q.Stats().Waiting == 0 })
			endAll(t, nil, q)
		})
	}
}
