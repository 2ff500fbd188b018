package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An offset is a place in a room: "{epoch}-{n}".
type offset struct {
	epoch string
	n     uint64
}

var offsets = regexp.MustCompile(`^([a-z0-9]{1,32})-(0|[1-9][0-9]*)$`)

func parseOffset(text string) (offset, error) {
	parts := offsets.FindStringSubmatch(text)
	if parts == nil {
		return offset{}, fmt.Errorf("the offset is %q, want {epoch}-{n}, like k3f9-17", text)
	}
	n, err := strconv.ParseUint(parts[2], 10, 63)
	if err != nil {
		return offset{}, fmt.Errorf("the offset is %q, want a number of up to 63 bits", text)
	}
	return offset{parts[1], n}, nil
}

func (o offset) String() string { return o.epoch + "-" + strconv.FormatUint(o.n, 10) }

// plus is the offset so many behind it, in the same epoch.
func (o offset) plus(n uint64) offset { return offset{o.epoch, o.n + n} }

// A cursor is where a client stands in its rooms.
type cursor map[string]offset

func parseCursor(text string) (cursor, error) {
	c := cursor{}
	if text == "" {
		return c, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		room, at, ok := strings.Cut(part, "@")
		o, err := parseOffset(at)
		if _, twice := c[room]; !ok || err != nil || twice {
			return nil, fmt.Errorf("the cursor is %q, want room@offset, joined by commas, each room once", text)
		}
		c[room] = o
	}
	return c, nil
}

func (c cursor) String() string {
	var parts []string
	for _, room := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, room+"@"+c[room].String())
	}
	return strings.Join(parts, ",")
}

// A frame is what a server sends.
type frame struct {
	Event    string          `json:"event"`
	Room     string          `json:"room"`
	Offset   string          `json:"offset"`
	Time     int64           `json:"time"`
	Retained bool            `json:"retained"`
	ID       *int64          `json:"id"`
	Data     json.RawMessage `json:"data"`

	text    string // as it came
	eventID string // of Server-Sent Events
	retry   string
}

func parseFrame(text []byte) (frame, error) {
	var f frame
	if err := json.Unmarshal(text, &f); err != nil || f.Event == "" {
		return f, fmt.Errorf(`the frame is %.200q, want a JSON object with "event"`, text)
	}
	f.text = string(text)
	return f, nil
}

// isPublished reports whether it is a published event: nothing else has room beside event.
func (f *frame) isPublished() bool { return f.Room != "" }

// into reads the data of a frame of the protocol's own.
func (f *frame) into(v any) error {
	if err := json.Unmarshal(f.Data, v); err != nil {
		return fmt.Errorf("the data of %.200s can't be read: %w", f.text, err)
	}
	return nil
}

// A rangeData is the data of gap and conflated.
type rangeData struct{ Room, From, To string }

// An errorData is the data of error.
type errorData struct {
	Code       string `json:"code"`
	Message    string `json:"message"`
	RetryAfter int64  `json:"retryAfter"`
}

// A follower counts as docs/protocol.md says under "Offsets and resuming". It keeps nothing but the
// newest offset of each room.
type follower struct{ at cursor }

// take counts one frame, and returns what is wrong with it.
func (f *follower) take(m frame) error {
	switch {
	case m.Event == "gap" || m.Event == "conflated":
		var g rangeData
		if err := m.into(&g); err != nil {
			return err
		}
		from, err := parseOffset(g.From)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Event, err)
		}
		to, err := parseOffset(g.To)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Event, err)
		}
		if mine, in := f.at[g.Room]; !in || mine != from {
			return fmt.Errorf("%s of %s from %s, and this client stands at %s", m.Event, g.Room, from, mine)
		}
		if m.Event == "conflated" && (to.epoch != from.epoch || to.n <= from.n) {
			return fmt.Errorf("conflated goes from %s to %s, want a later offset of the same epoch", from, to)
		}
		if m.Event == "gap" && to == from {
			return fmt.Errorf("a gap from %s to itself, although nothing was missed", from)
		}
		f.at[g.Room] = to
	case !m.isPublished():
	case m.Retained:
		if _, err := parseOffset(m.Offset); err != nil {
			return err
		}
		if _, in := f.at[m.Room]; !in {
			return fmt.Errorf("a retained event of %s came, which was not joined", m.Room)
		}
	default:
		o, err := parseOffset(m.Offset)
		if err != nil {
			return err
		}
		mine, in := f.at[m.Room]
		switch {
		case !in:
			return fmt.Errorf("an event of %s came, which was not joined", m.Room)
		case o.epoch == mine.epoch && o.n <= mine.n:
			return fmt.Errorf("the offset %s came after %s: twice, or out of order", o, mine)
		case o != mine.plus(1):
			return fmt.Errorf("the offset %s came after %s, want %s, or a gap between", o, mine, mine.plus(1))
		case m.Time <= 0:
			return fmt.Errorf("the event at %s has no time", o)
		}
		f.at[m.Room] = o
	}
	return nil
}
