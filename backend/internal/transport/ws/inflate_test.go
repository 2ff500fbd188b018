package ws

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// masked is a client's frame: first byte, key, payload.
func masked(first byte, key [4]byte, payload []byte) []byte {
	p := header(first, len(payload))
	p[1] |= 0x80
	p = append(p, key[:]...)
	for i, b := range payload {
		p = append(p, b^key[i%4])
	}
	return p
}

var key = [4]byte{1, 2, 3, 4}

// through feeds p in chunks of this size and returns all that comes out.
func through(f *inflater, p []byte, chunk int) (out []byte, err error) {
	for len(p) > 0 {
		n := min(chunk, len(p))
		f.feed(p[:n])
		p = p[n:]
	}
	buf := make([]byte, 7)
	for {
		n, err := f.drain(buf)
		if n == 0 || err != nil {
			return out, err
		}
		out = append(out, buf[:n]...)
	}
}

func TestInflaterTurnsCompressedMessagesIntoPlainOnes(t *testing.T) {
	const text, more, ping = 1, 0, 9
	long := []byte(strings.Repeat("a warehouse ", 1000))
	small, large := compress([]byte("hello")), compress(long)
	none := [4]byte{}
	for _, c := range []struct {
		name       string
		give, want []byte
	}{
		{"plain frames pass", masked(fin|text, key, []byte("x")), masked(fin|text, key, []byte("x"))},
		{"long plain frames pass", masked(fin|text, key, long), masked(fin|text, key, long)},
		{"an empty frame passes", masked(fin|text, key, nil), masked(fin|text, key, nil)},
		{"one frame", masked(fin|rsv1|text, key, small), masked(fin|text, none, []byte("hello"))},
		{"much in little", masked(fin|rsv1|text, key, large), masked(fin|text, none, long)},
		{"nothing", masked(fin|rsv1|text, key, []byte{0}), masked(fin|text, none, nil)},
		{"two frames around a ping",
			bytes.Join([][]byte{masked(rsv1|text, key, small[:2]), masked(fin|ping, key, []byte("p")), masked(fin|more, key, small[2:])}, nil),
			bytes.Join([][]byte{masked(fin|ping, key, []byte("p")), masked(fin|text, none, []byte("hello"))}, nil)},
		{"many frames, some empty",
			bytes.Join([][]byte{masked(rsv1|text, key, nil), masked(more, key, small[:1]), masked(more, key, nil), masked(fin|more, key, small[1:])}, nil),
			masked(fin|text, none, []byte("hello"))},
		{"one after the other",
			bytes.Join([][]byte{masked(fin|rsv1|text, key, small), masked(fin|text, key, []byte("x")), masked(fin|rsv1|text, key, small)}, nil),
			bytes.Join([][]byte{masked(fin|text, none, []byte("hello")), masked(fin|text, key, []byte("x")), masked(fin|text, none, []byte("hello"))}, nil)},
	} {
		for _, chunk := range []int{1, 2, 3, 5, 256, 1 << 20} {
			f := &inflater{limit: 64 << 10}
			got, err := through(f, c.give, chunk)
			if err != nil || !bytes.Equal(got, c.want) {
				t.Errorf("%s, in chunks of %d: %d bytes %.60q %v, want %d bytes %.60q", c.name, chunk, len(got), got, err, len(c.want), c.want)
			}
			if f.out != nil || f.payload != nil {
				t.Errorf("%s: something is kept", c.name)
			}
		}
	}
}

func TestInflaterIsBounded(t *testing.T) {
	bomb := compress(make([]byte, 10<<20))
	for _, c := range []struct {
		name string
		give []byte
		want error
	}{
		{"inflates to too much", masked(0xc1, key, bomb), errInflatedTooBig},
		{"says that it is too much", masked(0xc1, key, make([]byte, 70<<10))[:14], errInflatedTooBig},
		{"says that it is endless", []byte{0xc1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, errInflatedTooBig},
		{"is no deflate", masked(0xc1, key, []byte("\xff\xff\xff")), errNotDeflate},
	} {
		f := &inflater{limit: 64 << 10}
		if _, err := through(f, c.give, 100); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	f := &inflater{limit: 1 << 10}
	f.feed(masked(0x41, key, make([]byte, 1<<10))) // begun, and as long as may be
	for range 100 {
		f.feed(masked(0, key, []byte{1}))
	}
	if !errors.Is(f.err, errInflatedTooBig) || len(f.payload) > 1<<10 {
		t.Errorf("after endless fragments: %v with %d bytes", f.err, len(f.payload))
	}
}

// brokenWithin are bytes that break the framing within a compressed message, and what is wrong with them.
var brokenWithin = map[string]struct {
	give []byte
	want error
}{
	"an unmasked frame":                    {append(header(0xc1, 2), "{}"...), errUnmasked},
	"an unmasked fragment":                 {append(masked(0x41, key, []byte{1}), 0x80, 1, 'x'), errUnmasked},
	"RSV2":                                 {masked(0xe1, key, []byte{0}), errReserved},
	"RSV3 in a fragment":                   {append(masked(0x41, key, []byte{1}), masked(0x90, key, []byte{1})...), errReserved},
	"RSV1 in a fragment":                   {append(masked(0x41, key, []byte{1}), masked(0xc0, key, []byte{1})...), errCompressed},
	"text within":                          {append(masked(0x41, key, []byte{1}), masked(0x81, key, []byte("{}"))...), errInterleaved},
	"binary within":                        {append(masked(0x41, key, []byte{1}), masked(0x82, key, []byte("{}"))...), errInterleaved},
	"compressed within":                    {append(masked(0x41, key, []byte{1}), masked(0xc1, key, []byte{0})...), errInterleaved},
	"compressed within one that is not":    {append(masked(0x01, key, []byte("{")), masked(0xc1, key, []byte{0})...), errInterleaved},
	"a fragment with an opcode of nothing": {append(masked(0x41, key, []byte{1}), masked(0x83, key, []byte{1})...), errOpcode},
}

func TestInflaterRefusesWhatItsReaderCannotSee(t *testing.T) {
	for name, c := range brokenWithin {
		for chunk := 1; chunk <= len(c.give); chunk++ {
			good := masked(fin|1, key, []byte("before"))
			f := &inflater{limit: 64 << 10}
			out, err := through(f, append(good, c.give...), chunk)
			if !errors.Is(err, c.want) {
				t.Errorf("%s, in chunks of %d: %v, want %v", name, chunk, err, c.want)
			}
			if out, _ = bytes.CutPrefix(out, good); bytes.ContainsRune(out, '}') {
				t.Errorf("%s: a message was passed on after the frame that is broken: %q", name, out)
			}
		}
	}
}

// firstBroken returns where the header ends that first breaks the framing of a compressed message, or -1: RFC 6455 section 5.2
// and RFC 7692 section 6.1 once more, on frames that are all there.
func firstBroken(p []byte) (end int, why error) {
	var open, compressed bool // a message is, in fragments
	for at := 0; at+2 <= len(p); {
		first := p[at]
		n := headerLen(p[at+1])
		if at+n > len(p) {
			return -1, nil
		}
		length, kind := payloadLen(p[at:at+n]), first&0x0f
		if kind < 8 {
			inside := open && compressed
			if starts := !open && first&rsv1 != 0 && isData(kind); starts || inside || isData(kind) && first&rsv1 != 0 {
				switch {
				case p[at+1]&0x80 == 0:
					return at + n, errUnmasked
				case first&0x30 != 0:
					return at + n, errReserved
				case open && isData(kind):
					return at + n, errInterleaved
				case open && kind != 0:
					return at + n, errOpcode
				case open && first&rsv1 != 0:
					return at + n, errCompressed
				}
				compressed = true
			}
			if open = first&fin == 0; !open {
				compressed = false
			}
		}
		if length > uint64(len(p)) {
			return -1, nil
		}
		at += n + int(length)
	}
	return -1, nil
}

// However bytes come in, and whatever they are: what comes out does not depend on the chunks, and is bounded; no broken frame of a
// compressed message gets by.
func FuzzInflater(f *testing.F) {
	f.Add(masked(0xc1, key, compress([]byte("hello"))), 3)
	f.Add(append(masked(0x41, key, compress([]byte("hello"))[:2]), masked(0x80, key, compress([]byte("hello"))[2:])...), 1)
	f.Add([]byte{0xc1, 0xff, 0, 0, 0, 0}, 2)
	for _, c := range brokenWithin {
		f.Add(c.give, 1)
	}
	f.Fuzz(func(t *testing.T, give []byte, chunk int) {
		if chunk < 1 || len(give) > 1<<16 {
			return
		}
		const limit = 4 << 10
		whole, err := through(&inflater{limit: limit}, give, len(give)+1)
		inPieces := &inflater{limit: limit}
		parts, perr := through(inPieces, give, chunk)
		if len(inPieces.payload) > limit {
			t.Errorf("it holds %d bytes of a message of at most %d", len(inPieces.payload), limit)
		}
		if !bytes.Equal(whole, parts) || !errors.Is(perr, err) {
			t.Errorf("in one: %d bytes, %v; in chunks of %d: %d bytes, %v", len(whole), err, chunk, len(parts), perr)
		}
		if end, why := firstBroken(give); end < 0 {
			if errors.Is(err, errUnmasked) || errors.Is(err, errReserved) || errors.Is(err, errCompressed) ||
				errors.Is(err, errInterleaved) || errors.Is(err, errOpcode) {
				t.Errorf("frames that are whole were refused: %v", err)
			}
		} else if before, earlier := through(&inflater{limit: limit}, give[:end-1], len(give)); earlier == nil {
			if !errors.Is(err, why) {
				t.Errorf("got %v, want %v", err, why)
			}
			if !bytes.Equal(before, whole) {
				t.Error("something was passed on after the frame that is broken")
			}
		}
		if most := len(give) + len(give)/4*(limit+14); len(whole) > most+limit+14 {
			t.Errorf("%d bytes became %d", len(give), len(whole))
		}
	})
}

// A frame that announces almost 2^64 bytes does not pass the bound of its message.
func TestALengthThatWrapsAroundIsTooBig(t *testing.T) {
	f := &inflater{limit: 64 << 10}
	f.feed(masked(0x41, key, make([]byte, 10)))
	f.feed(binary.BigEndian.AppendUint64([]byte{0x80, 0x80 | 127}, 1<<64-5))
	f.feed(key[:])
	for range 100 {
		f.feed(make([]byte, 64<<10))
	}
	if !errors.Is(f.err, errInflatedTooBig) || len(f.payload) > f.limit {
		t.Errorf("it holds %d bytes of at most %d: %v", len(f.payload), f.limit, f.err)
	}
}

// BenchmarkEncode makes a published message the frame that all members' sockets get, from the broker's message to the bytes.
func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{128, 4096} {
		data := json.RawMessage(`"` + strings.Repeat("pick rate ", size/10) + `"`)
		m := &wire.Message{Room: wire.Room{Warehouse: "warehouse-1", Zone: "zone-a"}, Event: "ZONE_UPDATE",
			Offset: wire.Offset{Epoch: "1k2m3n", N: 123456}, Time: 1790000000000, Data: data}
		for name, form := range map[string]*outbox.Encoding{"plain": frames, "deflated": deflated(1024)} {
			b.Run(fmt.Sprintf("%d bytes, %s", size, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					outbox.Broadcast(m, 0, "").In(form)
				}
			})
		}
	}
}

func BenchmarkCompress(b *testing.B) {
	p := []byte(`{"event":"SHIFT_SNAPSHOT","data":[` + strings.Repeat(`{"zone":"zone-a","pickRate":1402,"unitsDone":5250},`, 80) + `0]}`)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		compress(p)
	}
}
