package outbox_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// numbering puts before each message its place in the order in which they leave, and a text of
// varying length. It asks its queue, as a prefixer may.
type numbering struct {
	queue *outbox.Queue
	n     int
}

func (m *numbering) Prefix(dst []byte, f *outbox.Frame) []byte {
	m.queue.Stats()
	if _, ok := f.Position(); !ok {
		return dst
	}
	m.n++
	return fmt.Appendf(dst, "%d %s|", m.n, strings.Repeat("p", m.n%200))
}

// rested is a reader that rests now and then.
type rested struct{ io.Reader }

func (r rested) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return r.Reader.Read(p)
}

// Prefixes stand before their own frame, however much the sink takes at once, the account comes out
// even, and the prefixer may ask the queue.
func TestEachFrameHasItsPrefix(t *testing.T) {
	const n = 3000
	for name, connect := range map[string]func() (outbox.Sink, io.Reader){
		"a socket":              func() (outbox.Sink, io.Reader) { s, c := pair(t); return s, c },
		"a socket, read slowly": func() (outbox.Sink, io.Reader) { s, c := pair(t); return s, rested{c} },
		"a sink that is tried":  func() (outbox.Sink, io.Reader) { f := newFake(); return f, f },
		"a sink that waits":     func() (outbox.Sink, io.Reader) { f := newFake(); return waiting{f}, f },
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := start(t, outbox.Options{MaxQueuedBytes: 16 << 20})
			sink, client := connect()
			prefixer := new(numbering)
			q := p.NewQueue(sink, lines, prefixer)
			prefixer.queue = q
			q.Push(outbox.NewControl("", []byte("0 control")))
			for i := range n {
				q.Push(message(i))
			}
			q.Push(outbox.NewControl("", []byte("the end")))
			r := bufio.NewReader(client)
			wantLine := func(want string) {
				t.Helper()
				if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
					t.Fatalf("read %.300q %v, want %.300q", line, err, want)
				}
			}
			wantLine("0 control\n")
			for i := range n {
				wantLine(fmt.Sprintf("%d %s|%d x", i+1, strings.Repeat("p", (i+1)%200), i))
			}
			wantLine("the end\n")
			eventually(t, "nothing waits any more", func() bool { return q.Stats().QueuedBytes == 0 })
			q.Hangup(wire.CloseGoingAway)
			io.Copy(io.Discard, r)
		})
	}
}

// final is the encoding of a transport whose peer does not answer the closing bytes.
var final = &outbox.Encoding{Append: lines.Append, Closing: lines.Closing, Final: true}

func TestAFinalEncodingEndsWithItsClosingBytes(t *testing.T) {
	for _, frames := range []int{0, 1, 1000} {
		t.Run(fmt.Sprint("after ", frames, " frames"), func(t *testing.T) {
			p, _ := start(t, outbox.Options{CloseGrace: time.Hour}) // nothing else ends it
			server, client := pair(t)
			q := p.NewQueue(server, final, nil)
			for i := range frames {
				q.Push(message(i))
			}
			q.Close(wire.CloseRestart, "restart")
			r := bufio.NewReader(client)
			client.SetReadDeadline(time.Now().Add(10 * time.Second))
			wantLines(t, r, 0, frames)
			if rest, err := io.ReadAll(r); err != nil || string(rest) != "close 1012\n" {
				t.Errorf("the end is %q: %v", rest, err)
			}
		})
	}
}
