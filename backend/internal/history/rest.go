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
// somebody who was there, not without a word: with another epoch, or a gap.
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
		for _, v := range all {
			switch {
			case v.Kind != Publish, s.told(at), slices.ContainsFunc(got, func(e version) bool { return e.Hash == v.Hash }):
			case c.limits.UnseenLossUntold && !v.seen:
			case c.lossesBetween(p.room, s.since, max(v.line, lineOf(all, got[0].Hash))) == 0: // before the client came
			default:
				c.report("accepted", []int{v.line, got[0].line}, "%s received %s at %s of %s, want %s, which was accepted there, or a gap", p.who,
					got[0].Hash, at, p.room, v.Hash)
			}
		}
	}
}

// lineOf is where a version of a message is known since.
func lineOf(all []*version, hash string) int {
	i := slices.IndexFunc(all, func(o *version) bool { return o.Hash == hash })
	if i < 0 {
		return 0
	}
	return all[i].line
}

// told reports whether the client was told that what stands at an offset may be lost: by a gap, or
// by another epoch.
func (s *stand) told(at wire.Offset) bool {
	return slices.ContainsFunc(s.ranges, func(r [2]wire.Offset) bool {
		from, to := r[0], r[1]
		switch {
		case from.Epoch != to.Epoch:
			return from.Epoch == at.Epoch || to.Epoch == at.Epoch && at.N <= to.N
		case from.Epoch != at.Epoch:
			return false
		}
		return min(from.N, to.N) < at.N && at.N <= max(from.N, to.N)
	})
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
