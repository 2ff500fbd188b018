// Package history decides whether what publishers and clients saw of a cluster keeps its promises.
//
//	simulator, chaos tests ── Recorder ──┐
//	load tester, anybody's log ── Read ──┴─▶ Record ──▶ Check ──▶ Violation
//
// A record is what a client or a publisher saw, nothing that it concluded. They stand in the order
// in which they happened; only the order of one client's own records matters for what it received.
package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The kinds of records.
const (
	// Publish is an answer to a publication: who, room, event, hash; outcome ok, refused or
	// unknown, and with ok the offset. key is its idempotency key, if it has one, sent when it was
	// sent: what the answer says may have been lost while the answer was under way.
	Publish = "publish"
	// Join says that a client stands in a room at offset without having asked for what it missed.
	Join = "join"
	// Resume says that a client came back and asked for what it missed after offset.
	Resume = "resume"
	// Event is a published event that arrived: room, offset, event, hash; via is the instance that
	// delivered it.
	Event = "event"
	// Retained is an event that arrived marked as retained.
	Retained = "retained"
	// Gap and Conflated have room, from and to.
	Gap       = "gap"
	Conflated = "conflated"
	// Leave says that a client left the room: what comes next begins with a join.
	Leave = "leave"
	// Closed is a connection that the server ended with a close code. reading says that the client
	// was reading all the time.
	Closed = "closed"
	// Lost says that something happened by which the server may have lost the latest messages, or
	// all of them: a fork or a gap is true from here on. With unsure it is not known when it was.
	Lost = "lost"
	// Ended says that an instance ended: what it alone had delivered nobody knows any more.
	Ended = "ended"
	// Newest says, at rest, where a room stands: every client that is in it must stand there too.
	Newest = "newest"
	// Bound is a measured amount that has a limit: who, event (its name), value and most.
	Bound = "bound"
)

// A Record is one thing that was seen. Fields that don't belong to its kind are ignored.
type Record struct {
	Kind     string `json:"kind"`
	At       int64  `json:"at,omitempty"`   // ms, of one clock
	Sent     int64  `json:"sent,omitempty"` // ms, of the same
	Who      string `json:"who,omitempty"`
	Via      string `json:"via,omitempty"`
	Room     string `json:"room,omitempty"`
	Offset   string `json:"offset,omitempty"`
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
	Event    string `json:"event,omitempty"`
	Hash     string `json:"hash,omitempty"` // of the event's data; equal data has an equal hash
	Key      string `json:"key,omitempty"`
	Conflate string `json:"conflate,omitempty"`
	Retain   bool   `json:"retain,omitempty"`
	Outcome  string `json:"outcome,omitempty"`
	Code     int    `json:"code,omitempty"`
	Reading  bool   `json:"reading,omitempty"`
	Value    int64  `json:"value,omitempty"`
	Most     int64  `json:"most,omitempty"`
}

// Limits are what the server was set to keep. Zero is no limit.
type Limits struct {
	Messages int   // HISTORY_MESSAGES
	AgeMS    int64 // HISTORY_AGE
	// UnseenLossUntold permits that a message which Redis lost is not told when no instance knows
	// of it: none had delivered it, or those that had have ended. docs/promises.md says how that
	// can be.
	UnseenLossUntold bool
	LateMS           int64 // the most from the acceptance of an event to its arrival at a client that was there
}

// A Violation is a promise that was broken.
type Violation struct {
	Rule  string // its name, as in docs/simulation.md
	Text  string // what came, and what was wanted
	Lines []int  // of the records concerned, from 1
}

func (v Violation) Error() string {
	return fmt.Sprintf("%s: %s (line %s)", v.Rule, v.Text, strings.Trim(strings.ReplaceAll(fmt.Sprint(v.Lines), " ", ", "), "[]"))
}

var kinds = map[string]bool{Publish: true, Join: true, Resume: true, Event: true, Retained: true, Gap: true, Conflated: true,
	Leave: true, Closed: true, Lost: true, Ended: true, Newest: true, Bound: true}

// Read reads records, one JSON object a line. The error names the line and what was expected there.
func Read(r io.Reader) (records []Record, err error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 16<<20)
	for n := 1; in.Scan(); n++ {
		if strings.TrimSpace(in.Text()) == "" {
			return nil, fmt.Errorf("line %d is empty: each line is a record, as JSON", n)
		}
		var one Record
		d := json.NewDecoder(strings.NewReader(in.Text()))
		d.DisallowUnknownFields()
		if err := d.Decode(&one); err != nil {
			return nil, fmt.Errorf("line %d is not a record, like {\"kind\":\"event\",\"who\":\"c1\",\"room\":\"warehouse:w\",\"offset\":\"e-1\"}: %w", n, err)
		}
		if !kinds[one.Kind] {
			return nil, fmt.Errorf("line %d: there is no kind %q of records", n, one.Kind)
		}
		records = append(records, one)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	if len(records) == 0 {
		return nil, errors.New("the history is empty: nothing was recorded")
	}
	return records, nil
}
