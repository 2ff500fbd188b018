package ws

import (
	"fmt"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// pieces watches the frames that come in (RFC 6455 section 5.2), so that no message has any number of fragments or takes any
// time: empty ones cost the sender six bytes each, and nobody else sees them.
type pieces struct {
	left      uint64 // bytes of the current frame's payload that are not here yet
	began     int64  // when the first byte of the current message came, in ns since 1970; 0 between two messages
	fragments uint16
	have      uint8 // bytes of head
	head      [14]byte
	last      bool // the current frame ends its message
	control   bool // the current frame is one of control, which may stand within a message
}

// feed takes bytes from the socket.
func (s *pieces) feed(p []byte, now time.Time) error {
	for len(p) > 0 {
		if s.left > 0 {
			n := min(s.left, uint64(len(p)))
			s.left, p = s.left-n, p[n:]
		} else {
			s.head[s.have], p = p[0], p[1:]
			if s.have++; s.have == 1 && s.began == 0 && s.head[0]&0x08 == 0 {
				s.began = now.UnixNano()
			}
			if s.have < 2 || int(s.have) < headerLen(s.head[1]) {
				continue
			}
			if err := s.header(); err != nil {
				return err
			}
		}
		if s.left == 0 && s.last && !s.control {
			s.began, s.fragments = 0, 0
		}
	}
	if s.began != 0 && now.UnixNano()-s.began > int64(wire.MessageTime) {
		return fmt.Errorf("ws: a message took longer than %v", wire.MessageTime)
	}
	return nil
}

// header takes a header that is complete.
func (s *pieces) header() error {
	s.have = 0
	s.left = payloadLen(s.head[:])
	s.last, s.control = s.head[0]&0x80 != 0, s.head[0]&0x08 != 0
	if s.control {
		return nil
	}
	if s.fragments++; s.fragments > wire.FragmentsPerMessage {
		return fmt.Errorf("ws: a message has more than %d fragments", wire.FragmentsPerMessage)
	}
	return nil
}
