package outbox_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
)

// A fake is a sink that takes as many bytes as the test lets it, with no kernel in between.
type fake struct {
	mu      sync.Mutex
	changed *sync.Cond
	room    int // for so many bytes more
	taken   bytes.Buffer
	failed  error // set when it is closed, or its deadline is over
}

var _ outbox.TryWriter = (*fake)(nil)

func newFake() *fake {
	f := new(fake)
	f.changed = sync.NewCond(&f.mu)
	return f
}

// TryWrite implements outbox.TryWriter.
func (f *fake) TryWrite(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.takeLocked(p)
}

func (f *fake) takeLocked(p []byte) (n int, err error) {
	n = min(f.room, len(p))
	f.room -= n
	f.taken.Write(p[:n])
	f.changed.Broadcast()
	return n, f.failed
}

// Write implements outbox.Sink.
func (f *fake) Write(p []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		took, err := f.takeLocked(p[n:])
		if n += took; n == len(p) || err != nil {
			return n, err
		}
		f.changed.Wait()
	}
}

// Read reads what it took, and makes room for a few bytes more each time.
func (f *fake) Read(p []byte) (n int, err error) {
	f.let(1 + rand.IntN(3000))
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.taken.Len() == 0 && f.failed == nil {
		f.changed.Wait()
	}
	if f.taken.Len() == 0 {
		return 0, io.EOF
	}
	return f.taken.Read(p)
}

// let makes room for n bytes more.
func (f *fake) let(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room += n
	f.changed.Broadcast()
}

// SetDeadline implements outbox.Sink.
func (f *fake) SetDeadline(t time.Time) error {
	time.AfterFunc(time.Until(t), func() { f.fail(os.ErrDeadlineExceeded) })
	return nil
}

// Close implements outbox.Sink.
func (f *fake) Close() error { f.fail(net.ErrClosed); return nil }

func (f *fake) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = err
	f.changed.Broadcast()
}

// lines returns what it took so far.
func (f *fake) lines() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Split(strings.TrimSuffix(f.taken.String(), "\n"), "\n")
}

const plenty = 1 << 30

// waiting hides that a fake can be tried, so that a goroutine has to wait for it.
type waiting struct{ outbox.Sink }

// stalledQueue returns a queue whose sink is full: the message 0 is being written, the next waits.
func stalledQueue(t testing.TB, p *outbox.Pool, by *outbox.Encoding) (*outbox.Queue, *fake) {
	t.Helper()
	f := newFake()
	q := p.NewQueue(f, by, nil)
	q.Push(message(0))
	eventually(t, "the queue stalls", q.Stalled)
	return q, f
}

// written lets the sink take all that waits, and returns its lines.
func written(t testing.TB, q *outbox.Queue, f *fake) []string {
	t.Helper()
	f.let(plenty)
	eventually(t, "all is written", func() bool { return q.Stats().QueuedBytes == 0 })
	return f.lines()
}
