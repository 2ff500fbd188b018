package brokertest

import (
	"crypto/rand"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// A Recorder is a handler that keeps what it is told and fails its test when two calls for one room
// overlap or a room's offsets do not rise.
type Recorder struct {
	t testing.TB

	mu    sync.Mutex
	rooms map[wire.Room]*record
}

type record struct {
	busy     bool
	messages []*broker.Message
	gaps     []broker.Gap
	retained []*broker.Message // after the last gap or deletion
	deleted  int               // times that retained events were deleted
}

var _ broker.Handler = (*Recorder)(nil)

// NewRecorder returns an empty recorder that reports to t.
func NewRecorder(t testing.TB) *Recorder { return &Recorder{t: t, rooms: map[wire.Room]*record{}} }

// Message implements broker.Handler.
func (r *Recorder) Message(m *broker.Message) {
	r.enter(m.Room, "Message")
	runtime.Gosched() // let a call that must not come now come
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.rooms[m.Room]
	if n := len(in.messages); n > 0 {
		last := in.messages[n-1].Offset
		if m.Offset.Epoch == last.Epoch && m.Offset.N <= last.N {
			r.t.Errorf("%s: %s was delivered after %s", m.Room, m.Offset, last)
		}
	}
	in.messages = append(in.messages, m)
	in.busy = false
}

// Gap implements broker.Handler.
func (r *Recorder) Gap(room wire.Room, gap broker.Gap, retained []*broker.Message) {
	r.enter(room, "Gap")
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.rooms[room]
	in.gaps = append(in.gaps, gap)
	in.retained = retained
	in.busy = false
}

// Retained implements broker.Handler.
func (r *Recorder) Retained(room wire.Room, s broker.Snapshot) {
	r.enter(room, "Retained")
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.rooms[room]
	in.retained = s.Retained
	in.deleted++
	in.busy = false
}

// Deleted returns how often the handler was told that retained events of a room were deleted, and
// what is retained since.
func (r *Recorder) Deleted(room wire.Room) (times int, retained []*broker.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in := r.rooms[room]; in != nil {
		return in.deleted, in.retained
	}
	return 0, nil
}

func (r *Recorder) enter(room wire.Room, call string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.rooms[room]
	if in == nil {
		in = new(record)
		r.rooms[room] = in
	}
	if in.busy {
		r.t.Errorf("%s: %s was called while another call for this room was not done", room, call)
	}
	in.busy = true
}

// Messages returns what was delivered of a room so far.
func (r *Recorder) Messages(room wire.Room) []*broker.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in := r.rooms[room]; in != nil {
		return in.messages[:len(in.messages):len(in.messages)]
	}
	return nil
}

// Gaps returns the gaps of a room that were told so far.
func (r *Recorder) Gaps(room wire.Room) []broker.Gap {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in := r.rooms[room]; in != nil {
		return in.gaps[:len(in.gaps):len(in.gaps)]
	}
	return nil
}

// Wait waits until a message of this number or a higher one was delivered, and returns all messages
// of the room so far.
func (r *Recorder) Wait(room wire.Room, n uint64) []*broker.Message {
	r.t.Helper()
	var got []*broker.Message
	testkit.Eventually(r.t, "delivery of message "+wire.Offset{Epoch: "n", N: n}.String()+" of "+room.String(), func() bool {
		got = r.Messages(room)
		return len(got) > 0 && got[len(got)-1].Offset.N >= n
	})
	return got
}

// WantExactly waits for message to of a room and fails unless exactly the messages from to to were
// delivered so far.
func (r *Recorder) WantExactly(room wire.Room, from, to uint64) []*broker.Message {
	r.t.Helper()
	got := r.Wait(room, to)
	wantRange(r.t, got, from, to)
	if gaps := r.Gaps(room); len(gaps) > 0 {
		r.t.Errorf("%s: told of gaps %v although nothing was missed", room, gaps)
	}
	return got
}

// wantRange fails unless the messages are those from from to to.
func wantRange(t testing.TB, got []*broker.Message, from, to uint64) {
	t.Helper()
	if want := int(to + 1 - from); len(got) != want {
		t.Fatalf("%d messages: %s; want %d, those from %d to %d", len(got), offsets(got), want, from, to)
	}
	for i, m := range got {
		if want := from + uint64(i); m.Offset.N != want {
			t.Fatalf("messages %s: place %d holds number %d, want %d", offsets(got), i, m.Offset.N, want)
		}
	}
}

func offsets(messages []*broker.Message) string {
	const most = 20
	var all []string
	for i, m := range messages {
		if i == most {
			all = append(all, "…")
			break
		}
		all = append(all, m.Offset.String())
	}
	return "[" + strings.Join(all, " ") + "]"
}

// Room returns the room of a zone that no other test uses.
func Room(t testing.TB) wire.Room {
	t.Helper()
	room, err := wire.NewRoom("test-"+strings.ToLower(rand.Text()[:16]), "zone-a")
	testkit.Must(t, err)
	return room
}
