//go:build linux

package swarm

import (
	"slices"
	"time"
)

// A hole is messages from, …, to-1 of a stream that a member did not receive when it received later ones.
type hole struct {
	stream   int // within the room
	from, to uint32
}

// deliver counts a published message.
func (s *Swarm) deliver(c *conn, data []byte, now uint64) {
	stamp, ok := s.plan.Template.Read(data)
	if !ok || c.room == none || int(stamp.Stream) >= len(s.streams) {
		s.tally.damaged++
		return
	}
	st := &s.streams[stamp.Stream]
	if st.room != c.room || stamp.Seq >= st.sent {
		s.tally.damaged++
		return
	}
	k := int(stamp.Stream) - s.rooms[c.room].first
	switch want := &c.next[k]; {
	case stamp.Seq == *want:
		*want++
	case stamp.Seq > *want:
		c.holes = append(c.holes, hole{stream: k, from: *want, to: stamp.Seq})
		*want = stamp.Seq + 1
	case c.fill(k, stamp.Seq):
		s.tally.swapped++
	default:
		s.tally.duplicates++
		return
	}
	s.tally.delivered++
	s.tally.last = now
	s.tally.latency.Lane(0).Record(time.Duration(now) - time.Duration(stamp.At))
}

// fill takes a number out of the holes, and says whether it was in one.
func (c *conn) fill(stream int, seq uint32) bool {
	for i, h := range c.holes {
		if h.stream != stream || seq < h.from || seq >= h.to {
			continue
		}
		c.holes = slices.Delete(c.holes, i, i+1)
		if h.from < seq {
			c.holes = append(c.holes, hole{stream: stream, from: h.from, to: seq})
		}
		if seq+1 < h.to {
			c.holes = append(c.holes, hole{stream: stream, from: seq + 1, to: h.to})
		}
		return true
	}
	return false
}

// missing counts the accepted messages that members have not received. Those that the server refused, or has not answered
// yet, are left out. With living, only members that are still connected count: the others will get nothing more.
func (s *Swarm) missing(living bool) (n uint64) {
	absent := s.unaccepted()
	for i := range s.plan.Members {
		c := &s.conns[i]
		if living && c.state != ready {
			continue
		}
		first := s.rooms[c.room].first
		for _, h := range c.holes {
			n += accepted(absent[first+h.stream], h.from, h.to)
		}
		for k, next := range c.next {
			n += accepted(absent[first+k], next, s.streams[first+k].sent)
		}
	}
	return n
}

// accepted counts the numbers from, …, to-1 that are not in the sorted list of absent ones.
func accepted(absent []uint32, from, to uint32) uint64 {
	i, _ := slices.BinarySearch(absent, from)
	j, _ := slices.BinarySearch(absent, to)
	return uint64(to-from) - uint64(j-i)
}
