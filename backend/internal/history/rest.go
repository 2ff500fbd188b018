package history

import (
	"slices"
	"strings"

	"github.com/zonecast/zonecast/backend/wire"
)

// atRest checks what must hold in the end.
func (c *checker) atRest() {
	end := c.line
	places := make([]place, 0, len(c.stands))
	for p := range c.stands {
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b place) int { return strings.Compare(a.who+" "+a.room, b.who+" "+b.room) })
	for _, p := range places {
		s, room := c.stands[p], c.room(p.room)
		if !s.in {
			continue
		}
		c.reportBeyond(s)
		if room.newestAt > 0 && s.at != room.newest {
			c.report("liveness", []int{s.line, room.newestAt}, "%s is at %s of %s at rest, want %s", p.who, s.at, p.room, room.newest)
		}
		c.replaced(p, s)
		c.lossIsTold(p, s)
		if room.newestAt > 0 && c.lossesBetween(p.room, 0, end) == 0 {
			c.wantRetained(p, s)
		}
	}
	c.acceptedIsThere(end)
}

// replaced checks that what was conflated has a newer message of its name, which the client has.
func (c *checker) replaced(p place, s *stand) {
	if c.lossesBetween(p.room, 0, c.line) > 0 {
		return // which of several versions it was is not known
	}
	for _, gone := range s.conflated {
		for _, v := range c.room(p.room).versions[gone.offset] {
			if !slices.ContainsFunc(s.events, func(e version) bool {
				return e.offset.Epoch == gone.offset.Epoch && e.offset.N > gone.offset.N && v.Conflate != "" && e.Conflate == v.Conflate
			}) {
				c.report("conflated", []int{gone.line, v.line}, "%s of %s was conflated away from %s, want something newer of %q, and nothing came",
					gone.offset, p.room, p.who, v.Conflate)
			}
		}
	}
}

// lossIsTold checks that Redis gave the offset of a message that was accepted to another one, for
// somebody who was there, not without a word: a gap, after which the client fetches fresh state.
func (c *checker) lossIsTold(p place, s *stand) {
	if c.lossesBetween(p.room, 0, c.line) == 0 {
		return // what is missing is a silent hole
	}
	has := map[wire.Offset][]version{}
	for _, e := range s.events {
		has[e.offset] = append(has[e.offset], e)
	}
	for at, got := range has {
		all := c.room(p.room).versions[at]
		i := slices.IndexFunc(all, func(o *version) bool { return o.Hash == got[0].Hash })
		if i < 0 {
			continue // of another event
		}
		for _, v := range all {
			first, second := v, all[i]
			if second.line < first.line {
				first, second = second, first
			}
			switch {
			case v.Kind != Publish, slices.ContainsFunc(got, func(e version) bool { return e.Hash == v.Hash }):
			case c.limits.UnseenLossUntold && !c.isKnown(first):
			case s.toldAfter(c.lossOf(p.room, first.line, second.line)):
			case c.lossesBetween(p.room, s.since, second.line) == 0: // before the client came
			default:
				c.report("accepted", []int{v.line, got[0].line}, "%s received %s at %s of %s, want %s, which was accepted there, or a gap", p.who,
					got[0].Hash, at, p.room, v.Hash)
			}
		}
	}
}

// isKnown reports whether an instance that goes on has delivered the message.
func (c *checker) isKnown(v *version) bool {
	return slices.ContainsFunc(v.via, func(instance string) bool { return !c.ended[instance] })
}

// lossOf returns the line of the loss by which the second of two messages got the offset of the
// first: the first loss between them or, since answers may be told late, the last one before.
func (c *checker) lossOf(room string, first, second int) (line int) {
	for _, l := range c.losses {
		if l.room != "" && l.room != room || l.line > second {
			continue
		}
		if line = l.line; line > first {
			break
		}
	}
	return line
}

// toldAfter reports whether the client was told a gap after a line.
func (s *stand) toldAfter(line int) bool {
	return slices.ContainsFunc(s.gaps, func(gap int) bool { return gap > line })
}

// wantRetained checks that a client that joined afresh was given the latest of each retained event.
func (c *checker) wantRetained(p place, s *stand) {
	if s.fresh.IsZero() {
		return
	}
	latest := map[string]*version{}
	for at, all := range c.room(p.room).versions {
		for _, v := range all {
			if was := latest[v.Event]; v.Retain && at.Epoch == s.fresh.Epoch && at.N <= s.fresh.N && (was == nil || was.offset.N < at.N) {
				latest[v.Event] = v
			}
		}
	}
	for event, v := range latest {
		if s.retained[event] != v.offset {
			c.report("retained", []int{s.since, v.line}, "%s joined %s at %s and received %q as the retained %s, want %s", p.who, p.room, s.fresh,
				s.retained[event].String(), event, v.offset)
		}
	}
}

// acceptedIsThere checks that rooms do not end before what was accepted.
func (c *checker) acceptedIsThere(end int) {
	for name, room := range c.rooms {
		if room.newestAt == 0 {
			continue
		}
		for at, all := range room.versions {
			for _, v := range all {
				beyond := at.Epoch != room.newest.Epoch || at.N > room.newest.N
				if v.Kind == Publish && beyond && c.lossesBetween(name, 0, end) == 0 {
					c.report("accepted", []int{v.line, room.newestAt}, "the room %s is at %s, want %s, which was accepted", name, room.newest, at)
				}
			}
		}
	}
}
