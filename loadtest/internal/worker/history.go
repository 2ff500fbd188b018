//go:build linux

package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

// A history writes what members and publishers see, a JSON object a line, for zonecast
// check-history: docs/simulation.md says what each means. All methods of nil do nothing. Errors are
// for the writer to keep.
type history struct {
	out io.Writer
	run string
	buf []byte
	top map[string]wire.Offset // by room, the newest offset that was seen
}

func newHistory(job *Job) *history {
	if job.History == nil {
		return nil
	}
	return &history{out: job.History, run: job.Run, top: map[string]wire.Offset{}}
}

// write writes a record, whose fields come as pairs of a name and a value that needs no escapes.
func (h *history) write(kind string, fields ...string) {
	h.buf = strconv.AppendInt(append(append(append(h.buf[:0], `{"kind":"`...), kind...), `","at":`...), time.Now().UnixMilli(), 10)
	for i := 0; i < len(fields); i += 2 {
		h.buf = append(append(append(h.buf, `,"`...), fields[i]...), `":"`...)
		h.buf = append(append(h.buf, fields[i+1]...), '"')
	}
	_, _ = h.out.Write(append(h.buf, "}\n"...))
}

// hash stands for the data of a message of the run, every byte of which follows from its number.
func (h *history) hash(stream, seq uint32) string { return fmt.Sprintf("%s-%x-%x", h.run, stream, seq) }

// moved notes how far a room is.
func (h *history) moved(room string, at wire.Offset) {
	if was := h.top[room]; was.Epoch != at.Epoch || was.N < at.N {
		h.top[room] = at
	}
}

// published writes the outcome of a publication. offset is empty unless it was accepted.
func (h *history) published(room string, stream, seq uint32, offset string) {
	if h == nil {
		return
	}
	fields := []string{"who", fmt.Sprint("publisher-", stream), "room", room, "event", stamp.Event, "hash", h.hash(stream, seq)}
	at, err := wire.ParseOffset(offset)
	if err != nil {
		h.write("publish", append(fields, "outcome", "unknown")...)
		return
	}
	h.moved(room, at)
	h.write("publish", append(fields, "outcome", "ok", "offset", offset)...)
}

// member writes a record of a member in its room.
func (h *history) member(m *member, kind string, fields ...string) {
	if h != nil {
		h.write(kind, append([]string{"who", fmt.Sprint("member-", m.w.job.First+int(m.index)), "room", m.w.rooms[m.room].name}, fields...)...)
	}
}

// joined writes from where a member goes on.
func (h *history) joined(m *member, kind string, at wire.Offset) {
	if h != nil && !at.IsZero() {
		h.member(m, kind, "offset", at.String())
	}
}

// event writes a message that a member received; s is its stamp if it is of the run.
func (h *history) event(m *member, e *protocol.Event, s stamp.Stamp, ours bool) {
	if h == nil || len(e.Epoch) == 0 {
		return
	}
	at := wire.Offset{Epoch: string(e.Epoch), N: e.N}
	hash := fmt.Sprintf("%x-%x", len(e.Data), crc32.ChecksumIEEE(e.Data))
	if ours {
		hash = h.hash(s.Stream, s.Seq)
		h.moved(m.w.rooms[m.room].name, at)
	}
	h.member(m, "event", "offset", at.String(), "event", stamp.Event, "hash", hash)
}

// skipped writes what a member was told to do without.
func (h *history) skipped(m *member, kind string, e *protocol.Event) {
	var g wire.Gap // conflated has the same fields
	if h != nil && json.Unmarshal(e.Data, &g) == nil {
		h.member(m, kind, "from", g.From, "to", g.To)
	}
}

// closed writes how a connection ended, if the server said so.
func (h *history) closed(m *member, why error) {
	var end *client.CloseError
	if h == nil || !errors.As(why, &end) {
		return
	}
	fmt.Fprintf(h.out, `{"kind":"closed","at":%d,"who":"member-%d","code":%d,"reading":%t}`+"\n", time.Now().UnixMilli(),
		m.w.job.First+int(m.index), end.Code, !m.slow)
}

// end says where the rooms are at rest, and who is not there for a reason: who is away, or reads
// slowly. A room to which others publish as well is never at rest.
func (h *history) end(members []*member) {
	if h == nil {
		return
	}
	for _, m := range members {
		if !m.joined || m.slow {
			h.member(m, "leave")
		}
		if m.tracker.Totals().Foreign > 0 {
			delete(h.top, m.w.rooms[m.room].name)
		}
	}
	for room, at := range h.top {
		h.write("newest", "room", room, "offset", at.String())
	}
}
