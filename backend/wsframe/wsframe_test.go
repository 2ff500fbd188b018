package wsframe

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

var testKey = [4]byte{1, 2, 3, 4}

// frameOf is a whole message of this side.
func frameOf(from Side, op Op, payload []byte) []byte {
	if from == FromClient {
		return AppendMasked(nil, op, testKey, payload)
	}
	return Append(nil, op, payload)
}

// all reads every message of p, which arrives in one piece, and returns what is left of it.
func all(r *Reader, p []byte) (messages []Message, rest []byte, err error) {
	for {
		m, n, err := r.Next(p)
		if err != nil || n == 0 {
			return messages, p, err
		}
		p = p[n:]
		if m.Op != Continuation {
			m.Payload = bytes.Clone(m.Payload)
			messages = append(messages, m)
		}
	}
}

func TestAppendAndNext(t *testing.T) {
	for _, from := range []Side{FromServer, FromClient} {
		for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536, MaxPayload} {
			want := bytes.Repeat([]byte("zone"), size/4+1)[:size]
			p := frameOf(from, Text, want)
			r := Reader{From: from}
			m, n, err := r.Next(p)
			if err != nil || n != len(p) || m.Op != Text || m.Deflated || !bytes.Equal(m.Payload, want) {
				t.Errorf("side %d, %d bytes: %d of %d taken, op %d, %d bytes, %v", from, size, n, len(p), m.Op, len(m.Payload), err)
			}
		}
	}
}

func TestNextWaitsForTheWholeFrame(t *testing.T) {
	whole := AppendMasked(nil, Text, testKey, bytes.Repeat([]byte("x"), 300))
	for cut := range whole {
		r := Reader{From: FromClient}
		if m, n, err := r.Next(bytes.Clone(whole[:cut])); n != 0 || err != nil || m.Op != 0 {
			t.Fatalf("%d of %d bytes: took %d, %v", cut, len(whole), n, err)
		}
	}
}

func TestFragments(t *testing.T) {
	p := []byte{bitDeflated | byte(Text), 2, 'a', 'b'}
	p = append(p, bitFinal|byte(Ping), 1, '!') // control frames may come between
	p = append(p, byte(Continuation), 0)
	p = append(p, bitFinal|byte(Continuation), 1, 'c')
	p = append(p, bitFinal|byte(Text), 1, 'd')
	var r Reader
	got, rest, err := all(&r, p)
	if err != nil || len(rest) > 0 || len(got) != 3 {
		t.Fatalf("%+v, %d bytes left, %v", got, len(rest), err)
	}
	for i, want := range []Message{
		{Op: Ping, Payload: []byte("!")}, {Op: Text, Deflated: true, Payload: []byte("abc")}, {Op: Text, Payload: []byte("d")},
	} {
		if got[i].Op != want.Op || got[i].Deflated != want.Deflated || string(got[i].Payload) != string(want.Payload) {
			t.Errorf("message %d is %+v, want %+v", i, got[i], want)
		}
	}
}

func TestNextRefuses(t *testing.T) {
	// More than half of what may be.
	fragment := append([]byte{byte(Text), 127, 0, 0, 0, 0, 0, 0x1f, 0, 0}, make([]byte, 0x1f_0000)...)
	for _, tt := range []struct {
		name string
		give []byte
		want error
	}{
		{"a reserved bit", []byte{bitFinal | 0x20 | byte(Text), 0}, ErrReserved},
		{"an opcode of data that does not exist", []byte{bitFinal | 3, 0}, ErrOpcode},
		{"an opcode of control that does not exist", []byte{bitFinal | 11, 0}, ErrOpcode},
		{"a mask", AppendMasked(nil, Text, testKey, nil), ErrMask},
		{"a fragmented ping", []byte{byte(Ping), 0}, ErrControl},
		{"a deflated ping", []byte{bitFinal | bitDeflated | byte(Ping), 0}, ErrCompressed},
		{"a long ping", []byte{bitFinal | byte(Ping), 126, 0, 200}, ErrControl},
		{"a continuation of nothing", []byte{bitFinal | byte(Continuation), 0}, ErrSequence},
		{"a message within a message", []byte{byte(Text), 0, byte(Text), 0}, ErrSequence},
		{"a deflated continuation", []byte{byte(Text), 0, bitFinal | bitDeflated, 0}, ErrCompressed},
		{"a frame without end", []byte{bitFinal | byte(Text), 127, 0xff, 0, 0, 0, 0, 0, 0, 0}, ErrTooLong},
		{"fragments without end", append(fragment, append([]byte{byte(Continuation)}, fragment[1:]...)...), ErrTooLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r Reader
			if _, _, err := all(&r, tt.give); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// A close frame has room for 123 bytes of reason (section 5.5): what is wrong and what to do.
func TestErrorsFitIntoACloseFrame(t *testing.T) {
	for _, e := range []*Error{ErrReserved, ErrOpcode, ErrMask, ErrControl, ErrSequence, ErrCompressed, ErrTooLong} {
		if e.Problem == "" || e.Advice == "" || len(e.Problem) > 50 || len(e.Advice) > 50 {
			t.Errorf("%q, %q: want 1 to 50 bytes each", e.Problem, e.Advice)
		}
		if e != ErrTooLong && !strings.Contains(e.Advice, "(RFC ") {
			t.Errorf("%q: %q does not say where it is written", e.Problem, e.Advice)
		}
	}
}

func TestCloseReason(t *testing.T) {
	for _, tt := range []struct {
		give   string
		code   int
		reason string
	}{{"", 1005, ""}, {"\x03", 1005, ""}, {"\x03\xe8", 1000, ""}, {"\x11\x38slow consumer", 4408, "slow consumer"}} {
		if code, reason := CloseReason([]byte(tt.give)); code != tt.code || reason != tt.reason {
			t.Errorf("CloseReason(%q) = %d, %q; want %d, %q", tt.give, code, reason, tt.code, tt.reason)
		}
	}
}

// However the bytes are cut up, the messages are the same, and nothing is taken past its end.
func FuzzReader(f *testing.F) {
	f.Add(Append(Append(nil, Text, []byte("hello")), Ping, nil), uint8(3), false)
	f.Add(AppendMasked(nil, Text, testKey, []byte(strings.Repeat("x", 200))), uint8(100), true)
	f.Add([]byte{byte(Text), 1, 'a', bitFinal, 1, 'b', bitFinal | byte(Close), 2, 3, 0xe8}, uint8(2), false)
	f.Fuzz(func(t *testing.T, p []byte, piece uint8, client bool) {
		from := FromServer
		if client {
			from = FromClient
		}
		whole := Reader{From: from}
		want, _, wantErr := all(&whole, bytes.Clone(p))

		pieces := Reader{From: from}
		var got []Message
		var kept []byte
		var err error
		for rest := p; len(rest) > 0 && err == nil; {
			n := min(len(rest), int(piece)+1)
			kept = append(kept, rest[:n]...)
			rest = rest[n:]
			var some []Message
			some, kept, err = all(&pieces, kept)
			got = append(got, some...)
			kept = bytes.Clone(kept)
		}
		if (err == nil) != (wantErr == nil) || len(got) != len(want) {
			t.Fatalf("in pieces %d messages and %v, as a whole %d and %v", len(got), err, len(want), wantErr)
		}
		for i := range got {
			if got[i].Op != want[i].Op || !bytes.Equal(got[i].Payload, want[i].Payload) {
				t.Fatalf("message %d differs", i)
			}
		}
	})
}
