package ws

import (
	"bytes"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

func TestMessagesHaveOnlySoManyFragments(t *testing.T) {
	const fin, text, more, ping = 0x80, 1, 0, 9
	begin, empty := masked(text, key, nil), masked(more, key, nil)
	end, whole := masked(fin|more, key, []byte("x")), masked(fin|text, key, bytes.Repeat([]byte("x"), 70_000))
	most := bytes.Join([][]byte{begin, bytes.Repeat(empty, wire.FragmentsPerMessage-2), end}, nil)
	for _, c := range []struct {
		name string
		give []byte
		bad  bool
	}{
		{"whole messages", bytes.Repeat(whole, 5), false},
		{"as many as may be, again and again", bytes.Repeat(most, 3), false},
		{"one more", bytes.Join([][]byte{begin, bytes.Repeat(empty, wire.FragmentsPerMessage)}, nil), true},
		{"pings don't count", bytes.Join([][]byte{begin, bytes.Repeat(masked(fin|ping, key, []byte("p")), 1000), end}, nil), false},
		{"pings don't help", bytes.Join([][]byte{begin, bytes.Repeat(append(masked(fin|ping, key, nil), empty...), wire.FragmentsPerMessage)}, nil), true},
	} {
		for _, chunk := range []int{1, 3, 256, 1 << 20} {
			var s pieces
			var err error
			for p := c.give; len(p) > 0 && err == nil; p = p[min(chunk, len(p)):] {
				err = s.feed(p[:min(chunk, len(p))], time.Now())
			}
			if (err != nil) != c.bad || err == nil && s != (pieces{last: true, head: s.head, control: s.control}) {
				t.Errorf("%s, in chunks of %d: %v, and %+v is left", c.name, chunk, err, s)
			}
		}
	}
}

func TestMessagesTakeOnlySoLong(t *testing.T) {
	const fin, text, pong = 0x80, 1, 10
	now := time.Now()
	slow, answer := masked(fin|text, key, bytes.Repeat([]byte("x"), 1000)), masked(fin|pong, key, nil)
	var s pieces
	for i := range slow {
		if err := s.feed(slow[i:i+1], now.Add(time.Duration(i)*time.Second)); err != nil {
			if after := time.Duration(i) * time.Second; after <= wire.MessageTime || after > wire.MessageTime+time.Second {
				t.Errorf("ended after %v", after)
			}
			break
		} else if i == len(slow)-1 {
			t.Error("a byte a second is taken for ever")
		}
	}
	s = pieces{}
	for i := range 1000 { // whoever only answers pings has no message under way
		if err := s.feed(answer, now.Add(time.Duration(i)*30*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzPieces(f *testing.F) {
	f.Add(masked(0x81, key, []byte("hello")), 3)
	f.Add([]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, 1)
	f.Fuzz(func(t *testing.T, give []byte, chunk int) {
		if chunk < 1 {
			return
		}
		var whole, parts pieces
		now := time.Now()
		err := whole.feed(give, now)
		var perr error
		for p := give; len(p) > 0 && perr == nil; p = p[min(chunk, len(p)):] {
			perr = parts.feed(p[:min(chunk, len(p))], now)
		}
		if (err == nil) != (perr == nil) || err == nil && whole != parts {
			t.Errorf("in one: %v %+v; in chunks of %d: %v %+v", err, whole, chunk, perr, parts)
		}
	})
}
