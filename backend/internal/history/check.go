package history

import (
	"fmt"
	"math"
	"slices"

	"github.com/zonecast/zonecast/backend/wire"
)

// Check returns what of the promises was broken, in the order in which it was seen; nil for
// nothing.
func Check(records []Record, limits Limits) []Violation {
	c := &checker{limits: limits, rooms: map[string]*roomHistory{}, stands: map[place]*stand{}, keys: map[string]accepted{},
		seenOnce: map[string]accepted{}, sent: map[string]Record{}, ended: map[string]bool{}}
	for i, r := range records { // who was told ok may hear of it after those who received it
		c.publications(i+1, r)
	}
	for i, r := range records {
		c.line = i + 1
		c.record(r)
	}
	c.atRest()
	slices.SortStableFunc(c.found, func(a, b Violation) int { return a.Lines[0] - b.Lines[0] })
	return c.found
}

type checker struct {
	limits   Limits
	line     int
	losses   []loss
	ended    map[string]bool // instances
	rooms    map[string]*roomHistory
	stands   map[place]*stand
	keys     map[string]accepted // by publisher, room and key
	seenOnce map[string]accepted // by client, room and hash
	sent     map[string]Record   // what was published, whatever became of it, by room and hash
	found    []Violation
}

type place struct{ who, room string }

type loss struct {
	line int
	room string // "" for all
	at   int64
}

type accepted struct {
	line   int
	offset wire.Offset
	sent   int64 // 0 if that is unknown
}

// A version is one message that stood at an offset.
type version struct {
	line int
	Record
	offset wire.Offset
	via    []string // the instances that delivered it, "" for one that is not named
}

// A roomHistory is what is known of a room.
type roomHistory struct {
	versions map[wire.Offset][]*version
	newest   wire.Offset // where it stands at rest
	newestAt int
	top      map[string]uint64 // the highest number known, by epoch
}

// A stand is how far a client is in a room.
type stand struct {
	at        wire.Offset
	line      int
	in        bool
	since     int   // the line since which it is in the room without interruption
	came      int64 // when it joined, came back or was told another epoch last, in ms
	conflated []version
	gaps      []int // their lines
	retained  map[string]wire.Offset
	fresh     wire.Offset // where it joined afresh; zero after a resume
	events    []version
	// beyond is a retained event of later, after a loss: it is of another epoch then, as a gap says
	// before any event does.
	beyond *Violation
}

func (c *checker) room(name string) *roomHistory {
	r := c.rooms[name]
	if r == nil {
		r = &roomHistory{versions: map[wire.Offset][]*version{}, top: map[string]uint64{}}
		c.rooms[name] = r
	}
	return r
}

func (c *checker) report(rule string, lines []int, format string, args ...any) {
	c.found = append(c.found, Violation{rule, fmt.Sprintf(format, args...), lines})
}

// lossesBefore is how often messages of the room may have been lost between two lines.
func (c *checker) lossesBetween(room string, from, to int) (n int) {
	for _, l := range c.losses {
		if l.line > from && l.line <= to && (l.room == "" || l.room == room) {
			n++
		}
	}
	return n
}

// mayBeLost reports whether what was accepted may have been lost before a line.
func (c *checker) mayBeLost(room string, a accepted, before int) bool {
	return c.lossesBetween(room, a.line, before) > 0 || slices.ContainsFunc(c.losses, func(l loss) bool {
		return l.line < a.line && a.sent > 0 && l.at >= a.sent && (l.room == "" || l.room == room)
	})
}

func (c *checker) offset(text, what string) (wire.Offset, bool) {
	o, err := wire.ParseOffset(text)
	if err != nil {
		c.report("protocol", []int{c.line}, "%s is %q, want an offset like k3f9-7", what, text)
	}
	return o, err == nil
}

// publications takes what was accepted, and when messages were lost.
func (c *checker) publications(line int, r Record) {
	c.line = line
	if r.Kind == Publish {
		c.sent[r.Room+" "+r.Hash] = r
	}
	switch {
	case r.Kind == Ended:
		c.ended[r.Who] = true
	case r.Kind == Lost:
		c.losses = append(c.losses, loss{line, r.Room, r.At})
	case r.Kind == Publish && r.Outcome == "ok":
		at, ok := c.offset(r.Offset, "the offset of an answer")
		if !ok {
			return
		}
		if r.Key != "" {
			key := r.Who + " " + r.Room + " " + r.Key
			if first, known := c.keys[key]; known && first.offset != at && !c.mayBeLost(r.Room, first, line) {
				c.report("once", []int{first.line, line}, "%s was told %s for the key %s, want %s as before", r.Who, at, r.Key, first.offset)
			}
			c.keys[key] = accepted{line, at, r.Sent}
		}
		c.version(line, r, at)
	}
}

// version takes a message that stood at an offset. There is one, and one more for each loss.
func (c *checker) version(line int, r Record, at wire.Offset, via ...string) {
	room := c.room(r.Room)
	room.top[at.Epoch] = max(room.top[at.Epoch], at.N)
	for _, v := range room.versions[at] {
		if v.Hash == r.Hash && v.Event == r.Event {
			v.via = append(v.via, via...)
			return
		}
	}
	all := room.versions[at]
	if sent, known := c.sent[r.Room+" "+r.Hash]; known {
		r.Conflate, r.Retain = sent.Conflate, sent.Retain
	}
	room.versions[at] = append(all, &version{line, r, at, via})
	if len(all) > c.lossesBetween(r.Room, 0, math.MaxInt) {
		c.report("same bytes", []int{all[0].line, line}, "%s of %s is %s %s, want %s %s as before", at, r.Room, r.Event, r.Hash,
			all[0].Event, all[0].Hash)
	}
}

func (c *checker) stand(r Record) *stand {
	p := place{r.Who, r.Room}
	s := c.stands[p]
	if s == nil {
		s = new(stand)
		c.stands[p] = s
	}
	return s
}

func (c *checker) record(r Record) {
	switch r.Kind {
	case Join:
		if at, ok := c.offset(r.Offset, "the offset of a join"); ok {
			*c.stand(r) = stand{at: at, line: c.line, in: true, since: c.line, came: r.At, fresh: at}
		}
	case Resume:
		at, ok := c.offset(r.Offset, "the offset of a resume")
		if s := c.stand(r); ok {
			if s.in && s.at != at {
				c.report("cursor", []int{s.line, c.line}, "the cursor of %s in %s says %s, want %s, up to which it has the room", r.Who, r.Room, at, s.at)
			}
			s.at, s.in, s.line, s.came, s.fresh, s.retained = at, true, c.line, r.At, wire.Offset{}, nil
			if s.since == 0 {
				s.since = c.line
			}
		}
	case Event:
		c.event(r)
	case Retained:
		c.retained(r)
	case Gap:
		c.gap(r)
	case Conflated:
		c.conflated(r)
	case Leave:
		*c.stand(r) = stand{}
	case Closed:
		if r.Code == int(wire.CloseSlowConsumer) && r.Reading {
			c.report("slow", []int{c.line}, "%s was closed as slow, want it kept, for it reads", r.Who)
		}
	case Newest:
		if at, ok := c.offset(r.Offset, "the newest offset"); ok {
			room := c.room(r.Room)
			if room.newest.Epoch != at.Epoch || room.newest.N <= at.N { // several may say it
				room.newest, room.newestAt = at, c.line
			}
		}
	case Bound:
		if r.Value > r.Most {
			c.report("bounds", []int{c.line}, "%s of %s is %d, want at most %d", r.Event, r.Who, r.Value, r.Most)
		}
	}
}

func (c *checker) event(r Record) {
	at, ok := c.offset(r.Offset, "the offset of an event")
	s := c.stand(r)
	if !ok {
		return
	}
	c.reportBeyond(s)
	switch {
	case !s.in:
		c.report("member", []int{c.line}, "%s received %s of %s, want nothing of it before it joins", r.Who, at, r.Room)
	case at.Epoch == s.at.Epoch && at.N <= s.at.N:
		c.report("duplicate", []int{s.line, c.line}, "%s received %s of %s after %s, want %s", r.Who, at, r.Room, s.at, s.at.Next())
	case at != s.at.Next():
		c.report("silent hole", []int{s.line, c.line}, "%s received %s of %s after %s, want %s or a gap", r.Who, at, r.Room, s.at, s.at.Next())
	}
	key := r.Who + " " + r.Room + " " + r.Hash
	if first, known := c.seenOnce[key]; known && first.offset != at && c.lossesBetween(r.Room, 0, c.line) == 0 {
		c.report("once", []int{first.line, c.line}, "%s received a message of %s again, at %s, want it at %s alone", r.Who, r.Room, at, first.offset)
	}
	c.seenOnce[key] = accepted{line: c.line, offset: at}
	c.version(c.line, r, at, r.Via)
	sent := c.sent[r.Room+" "+r.Hash]
	if took := r.At - max(sent.At, s.came); c.limits.LateMS > 0 && sent.Outcome == "ok" && took > c.limits.LateMS {
		c.report("late", []int{s.line, c.line}, "%s received %s of %s %d ms after it was accepted, want it within %d ms, for the client was there", r.Who,
			at, r.Room, took, c.limits.LateMS)
	}
	r.Conflate = sent.Conflate
	s.events = append(s.events, version{line: c.line, Record: r, offset: at})
	s.at, s.line = at, c.line
}

func (c *checker) retained(r Record) {
	at, ok := c.offset(r.Offset, "the offset of a retained event")
	s := c.stand(r)
	if !ok {
		return
	}
	if !s.in {
		c.report("member", []int{c.line}, "%s received a retained event of %s, want nothing of it before it joins", r.Who, r.Room)
		return
	}
	if s.retained == nil {
		s.retained = map[string]wire.Offset{}
	}
	if at.Epoch == s.at.Epoch && at.N > s.at.N {
		s.beyond = &Violation{"retained", fmt.Sprintf("%s joined %s and received %s as retained, want none beyond %s, where it is", r.Who, r.Room,
			at, s.at), []int{s.line, c.line}}
		if c.lossesBetween(r.Room, 0, c.line) == 0 {
			c.reportBeyond(s)
		}
	}
	if was := s.retained[r.Event]; !was.IsZero() && was != at && c.sent[r.Room+" "+r.Hash].Retain { // alerts are retained by their ids
		c.report("retained", []int{s.since, c.line}, "%s joined %s and received both %s and %s as the retained %s, want the newest alone", r.Who, r.Room,
			was, at, r.Event)
	}
	s.retained[r.Event] = at
	c.version(c.line, r, at, r.Via)
}

func (c *checker) reportBeyond(s *stand) {
	if s.beyond != nil {
		c.found, s.beyond = append(c.found, *s.beyond), nil
	}
}

// gap checks that there is a reason for it, and that it begins where the client is.
func (c *checker) gap(r Record) {
	from, ok1 := c.offset(r.From, "the beginning of a gap")
	to, ok2 := c.offset(r.To, "the end of a gap")
	s := c.stand(r)
	if !ok1 || !ok2 {
		return
	}
	lines := []int{c.line}
	if s.line > 0 {
		lines = []int{s.line, c.line}
	}
	switch {
	case !s.in:
		c.report("member", lines, "%s was told a gap of %s, want nothing of it before it joins", r.Who, r.Room)
	case from != s.at:
		c.report("gap", lines, "%s was told a gap of %s from %s, want it from %s, where it is", r.Who, r.Room, from, s.at)
	case from == to:
		c.report("gap", lines, "%s was told a gap of %s at %s in which nothing is missing, want none", r.Who, r.Room, to)
	case c.lossesBetween(r.Room, 0, c.line) > 0: // whatever it is, it may be so
	case to.Epoch != from.Epoch:
		c.report("gap", lines, "%s was told of another epoch of %s, from %s to %s, want none, for nothing was lost", r.Who, r.Room, from, to)
	case to.N < from.N:
		c.report("gap", lines, "%s was told that %s fell back from %s to %s, want none of it, for nothing was lost", r.Who, r.Room, from, to)
	case !c.expired(r, to):
		c.report("gap", lines, "%s was told that what follows %s of %s is gone up to %s, want the messages, for they are kept", r.Who, from, r.Room, to)
	}
	if to.Epoch != from.Epoch { // the client begins anew
		s.beyond, s.came = nil, r.At
	}
	s.gaps = append(s.gaps, c.line)
	s.at, s.line = to, c.line
	s.fresh = wire.Offset{}
}

// expired reports whether the message at an offset need not be kept any more.
func (c *checker) expired(r Record, at wire.Offset) bool {
	room := c.room(r.Room)
	if c.limits.Messages == 0 && c.limits.AgeMS == 0 {
		return false
	}
	if c.limits.Messages > 0 && room.top[at.Epoch] >= at.N+uint64(c.limits.Messages) {
		return true
	}
	for _, v := range room.versions[at] {
		if c.limits.AgeMS > 0 && r.At-v.At >= c.limits.AgeMS-1000 {
			return true
		}
	}
	return false
}

func (c *checker) conflated(r Record) {
	from, ok1 := c.offset(r.From, "the beginning of what was conflated")
	to, ok2 := c.offset(r.To, "the end of what was conflated")
	s := c.stand(r)
	if !ok1 || !ok2 {
		return
	}
	lines := []int{max(s.line, 1), c.line}
	switch {
	case !s.in:
		c.report("member", lines[1:], "%s was told what was conflated in %s, want nothing of it before it joins", r.Who, r.Room)
	case from != s.at || to.Epoch != from.Epoch || to.N <= from.N:
		c.report("conflated", lines, "%s was told that %s to %s of %s were conflated, want them to follow %s, where it is", r.Who, from, to, r.Room, s.at)
	}
	for n := from.N + 1; n <= to.N && n-from.N < 1<<20; n++ {
		at := wire.Offset{Epoch: to.Epoch, N: n}
		s.conflated = append(s.conflated, version{line: c.line, Record: r, offset: at})
	}
	s.at, s.line = to, c.line
}
