//go:build linux

package worker

import (
	"fmt"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/account"
	"github.com/zonecast/zonecast/loadtest/internal/dialect"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/swarm"
)

// echoes are round trips: echo i is sent on the connection of member i, counted around; the same connection must have it
// back. Where members' connections go one way, they post their echoes, and the answer is the echo.
//
// The id of an echo is its number on its connection, given as it is written: by it answers are lost, duplicated or
// reordered. The stamp in the data says which echo it is, and when it was due.
type echoes struct {
	w       *Worker
	dialect dialect.Dialect
	issued  uint32
}

// echoing is one member's part of it.
type echoing struct {
	numbered int64
	sent     account.Set    // the numbers of those that went out
	answers  account.Ledger // the numbers of those that came back
	posts    *posts         // nil where the member's own connection takes them
}

// errOffline is the error of a message whose connection is lost.
var errOffline error = offline{}

type offline struct{}

func (offline) Error() string { return "its connection is lost" }

// Kind names the failure in a few words.
func (offline) Kind() string { return "connection lost" }

// issue sends the next echo.
func (e *echoes) issue(due uint64) {
	w := e.w
	i := e.issued
	e.issued++
	m := e.owner(i)
	if !m.seated {
		w.fail(errOffline)
		return
	}
	if m.echo == nil {
		m.echo = &echoing{}
		if w.job.Mode != swarm.WebSocket {
			m.echo.posts = &posts{e: e, m: m}
		}
	}
	if m.echo.posts != nil && m.echo.posts.full() {
		w.counts.NotSent++
		return
	}
	number := m.echo.numbered
	m.echo.sent.Add(uint64(number))
	m.echo.numbered++
	w.counts.Sent++
	if m.echo.posts != nil {
		m.echo.posts.say(number, i, due)
		return
	}
	w.data = w.template.Append(w.data[:0], stamp.Stamp{Stream: stamp.Echo, Seq: i, At: due})
	w.text = e.dialect.AppendEcho(w.text[:0], dialect.FirstID+number, w.data)
	w.loop.Say(m.conn, w.text)
}

func (e *echoes) owner(i uint32) *member { return e.w.joined[int(i)%len(e.w.joined)] }

// answer takes the answer to an echo.
func (e *echoes) answer(m *member, a *dialect.Event, now uint64) {
	w := e.w
	s, ok := w.template.Read(a.Data)
	k := a.ID - dialect.FirstID
	switch {
	case m.echo == nil || k < 0 || k >= m.echo.numbered:
		w.failures.AddKind("frame: answer to nothing", fmt.Sprintf("ack with the id %d", a.ID))
		return
	case !ok || s.Stream != stamp.Echo || e.owner(s.Seq) != m:
		w.counts.Damaged++
		w.failures.AddKind("frame: damaged data", fmt.Sprintf("the ack with the id %d does not have the data of its echo", a.ID))
		return
	case m.echo.posts != nil:
		if !m.echo.answers.Reply(uint32(k)) {
			return
		}
	case !m.echo.answers.Answer(uint32(k)):
		return
	}
	took := time.Duration(int64(now - s.At))
	w.counts.Received++
	w.last = max(w.last, uint64(int64(now)-w.job.ClockAhead))
	w.secondLive.Record(took)
}

// refused takes the answer to an echo that the server does not want.
func (e *echoes) refused(m *member, a *dialect.Event) {
	e.w.failures.AddKind("server: error "+a.Reason, string(a.Data))
	e.withdraw(m, a.ID-dialect.FirstID)
}

// failed notes that an echo's request did.
func (e *echoes) failed(m *member, number int64, err error) {
	e.w.failures.Add("send", err)
	e.withdraw(m, number)
}

// withdraw counts an echo as one that was not taken.
func (e *echoes) withdraw(m *member, number int64) {
	if m.echo != nil && number >= 0 && number < m.echo.numbered {
		e.w.counts.Sent--
		e.w.counts.Failed++
		m.echo.sent.Remove(uint64(number))
	}
}

// fail counts a message that could not be sent, or was not taken.
func (w *Worker) fail(err error) {
	w.counts.Failed++
	w.failures.Add("send", err)
}
