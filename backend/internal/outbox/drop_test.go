package outbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// hold is a prefixer that keeps the writer until it is closed.
type hold chan struct{}

func (h hold) Prefix(dst []byte, _ *outbox.Frame) []byte {
	<-h
	return dst
}

// However soon a queue is over its bound: the peer reads the response to its handshake first, and
// then why the connection ends.
func TestAQueueOverItsBoundStillAnswersTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 64 << 10
		p, m := start(t, outbox.Options{MaxQueuedBytes: bound, Writers: 1})
		let, client := make(hold), newFake()
		client.let(plenty)
		busy, q := p.NewQueue(client, lines, let), p.NewQueue(client, lines, nil)
		busy.Push(outbox.NewRaw(nil)) // keeps the only writer away

		longest := "101 Switching Protocols " + strings.Repeat("t", 16<<10) // with a token among its subprotocols
		q.WriteRaw([]byte(longest + "\n"))
		pushed := int64(0)
		for ; q.Code() == 0; pushed++ {
			q.Push(message(int(pushed)))
		}
		close(let)
		synctest.Wait()
		if got := client.lines(); !slices.Equal(got, []string{longest, "close 4408"}) {
			t.Errorf("read %.60q", got)
		}
		if n := m.dropped.Load(); n != pushed {
			t.Errorf("%d of %d messages are counted as dropped", n, pushed)
		}
		endAll(t, nil, q, busy)
		synctest.Wait()
	})
}

// A peer that reads nothing for a while, and is closed as slow for it, finds the answers to its own
// control frames, in their order.
func TestAQueueOverItsBoundKeepsWhatTheConnectionStandsOn(t *testing.T) {
	const pongs = 10
	p, m := start(t, outbox.Options{MaxQueuedBytes: 128 << 10})
	q, client := stalledQueue(t, p, lines)
	pushed := 1
	var want []string
	for i := range pongs {
		want = append(want, fmt.Sprint("pong ", i))
		q.WriteRaw([]byte(want[i] + "\n"))
		q.Push(message(pushed))
		pushed++
	}
	q.Send(outbox.NewControl("", make([]byte, 48<<10))) // an answer that is not small
	for ; q.Code() == 0; pushed++ {
		q.Push(message(pushed))
	}
	got := written(t, q, client)
	if !strings.HasPrefix(got[0], "0 ") || !slices.Equal(got[1:], append(want, "close 4408")) {
		t.Errorf("read %.1000q, want the message being written, %d pongs in their order, the reason", got, pongs)
	}
	if n := m.dropped.Load(); int(n) != pushed-1 {
		t.Errorf("of %d messages 1 was read and %d are counted as dropped", pushed, n)
	}
	endAll(t, nil, q)
}

// What is kept beyond the bound is bounded, too: neither many pongs nor large answers stay.
func TestWhatAQueueOverItsBoundKeepsIsBounded(t *testing.T) {
	answer := outbox.NewControl("", []byte(strings.Repeat("x", 30_000)))
	for name, push := range map[string]func(q *outbox.Queue) error{
		"pongs":   func(q *outbox.Queue) error { return q.WriteRaw([]byte("pong\n")) },
		"answers": func(q *outbox.Queue) error { return q.Send(answer) },
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := start(t, outbox.Options{MaxQueuedBytes: 256 << 10})
			q, client := stalledQueue(t, p, lines)
			writing := q.Stats().QueuedBytes
			for push(q) == nil {
			}
			const most = 24<<10 + 1<<10 // and the closing frame
			if n := q.Stats().QueuedBytes; q.Code() != wire.CloseSlowConsumer || n-writing > most {
				t.Errorf("closed with %s, %d bytes still wait beside the %d of before", q.Code(), n-writing, writing)
			}
			written(t, q, client)
			endAll(t, nil, q)
		})
	}
}
