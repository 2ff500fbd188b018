package ws

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
)

// The first byte of a frame: an opcode, and bits (RFC 6455 section 5.2).
const (
	more, text, binaryData, ping, pong = 0x00, 0x01, 0x02, 0x09, 0x0a
	fin, rsv1, rsv2, rsv3              = 0x80, 0x40, 0x20, 0x10
)

var key = [4]byte{1, 2, 3, 4}

// masked is a client's frame with this first byte, which may be wrong.
func masked[P string | []byte](first byte, payload P) []byte {
	p := wsframe.AppendMasked(nil, wsframe.Op(first&0x0f), key, []byte(payload))
	p[0] = first
	return p
}

// inflated is what becomes of a compressed message.
func inflated(text string) []byte {
	return wsframe.AppendMasked(nil, wsframe.Text, [4]byte{}, []byte(text))
}

// A stream is a connection on which bytes come in such chunks, then end. It takes all writes.
type stream struct {
	net.Conn
	rest  []byte
	chunk int
}

func (s *stream) Read(p []byte) (int, error) {
	n := copy(p, s.rest[:min(s.chunk, len(s.rest))])
	if s.rest = s.rest[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (s *stream) Write(p []byte) (int, error)      { return len(p), nil }
func (s *stream) Close() error                     { return nil }
func (s *stream) SetDeadline(time.Time) error      { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }

// incoming is a connection on which these bytes come in.
func incoming(give []byte, chunk, limit int, deflate bool) *conn {
	return &conn{Conn: &stream{rest: bytes.Clone(give), chunk: chunk}, frameHandler: &frameHandler{handler: &Handler{Gate: transport.NewGate(transport.Options{})}}, queue: new(outbox.Queue),
		in: inbound{limit: limit, deflate: deflate}}
}

// readAll returns what the reader of a connection gets, and why that ended unless the stream did.
// It checks that nothing is held beyond the limit, and in the end nothing of a message that is
// complete.
func readAll(t testing.TB, c *conn) (out []byte, err error) {
	t.Helper()
	buf := make([]byte, 256)
	for {
		n, err := c.Read(buf)
		out = append(out, buf[:n]...)
		if m := c.in.message; m != nil && len(m.payload) > c.in.limit {
			t.Errorf("it holds %d bytes of a message of at most %d", len(m.payload), c.in.limit)
		}
		if err == io.EOF {
			if c.in.left == 0 && !c.in.sequence.Open && (c.in.message != nil || c.in.began != 0 && c.in.headBytes == 0) {
				t.Errorf("between two messages there is still %+v", c.in)
			}
			return out, nil
		}
		if err != nil {
			return out, err
		}
	}
}

var chunks = []int{1, 2, 3, 5, 256, 1 << 20}

func TestValidFramesPassAndCompressedMessagesPassInflated(t *testing.T) {
	long := strings.Repeat("a warehouse ", 1000)
	small, large := compress([]byte("hello")), compress([]byte(long))
	const most = wire.FragmentsPerMessage
	same := func(p ...[]byte) [2][]byte { return [2][]byte{slices.Concat(p...), slices.Concat(p...)} }
	for name, c := range map[string][2][]byte{ // what comes in, and what the reader gets
		"a frame":                same(masked(fin|text, "x")),
		"long frames":            same(bytes.Repeat(masked(fin|text, long), 5)),
		"an empty frame":         same(masked(fin|text, "")),
		"fragments":              same(masked(text, "x"), masked(more, "y"), masked(fin|ping, "?"), masked(fin|more, "z")),
		"as many as may be":      same(bytes.Repeat(slices.Concat(masked(text, ""), bytes.Repeat(masked(more, ""), most-2), masked(fin|more, "x")), 3)),
		"pings are no fragments": same(masked(text, ""), bytes.Repeat(masked(fin|ping, "p"), 4*most), masked(fin|more, "x")),
		"a compressed message":   {masked(fin|rsv1|text, small), inflated("hello")},
		"much in little":         {masked(fin|rsv1|text, large), inflated(long)},
		"nothing":                {masked(fin|rsv1|text, "\x00"), inflated("")},
		"compressed in fragments, around a ping": {
			slices.Concat(masked(rsv1|text, small[:2]), masked(fin|ping, "?"), masked(more, ""), masked(fin|more, small[2:])),
			slices.Concat(masked(fin|ping, "?"), inflated("hello"))},
		"one after the other": {
			slices.Concat(masked(fin|rsv1|text, small), masked(fin|text, "x"), masked(fin|rsv1|text, small), masked(fin|ping, "")),
			slices.Concat(inflated("hello"), masked(fin|text, "x"), inflated("hello"), masked(fin|ping, ""))},
	} {
		for _, chunk := range chunks {
			got, err := readAll(t, incoming(c[0], chunk, 64<<10, true))
			if err != nil || !bytes.Equal(got, c[1]) {
				t.Errorf("%s, in chunks of %d: %d bytes %.60q %v, want %d bytes %.60q", name, chunk, len(got), got, err, len(c[1]), c[1])
			}
		}
	}
}

// invalid are bytes that no reader gets, and what is wrong with them.
var invalid = map[string]struct {
	give []byte
	want error
}{
	"an unmasked frame":                  {wsframe.Append(nil, wsframe.Text, []byte("{}")), wsframe.ErrMask},
	"an unmasked compressed frame":       {append([]byte{fin | rsv1 | text, 2}, "{}"...), wsframe.ErrMask},
	"an unmasked fragment":               {append(masked(rsv1|text, "\x01"), fin|more, 1, 'x'), wsframe.ErrMask},
	"RSV2":                               {masked(fin|rsv1|rsv2|text, "\x00"), wsframe.ErrReserved},
	"RSV3 in a fragment":                 {append(masked(rsv1|text, "\x01"), masked(fin|rsv3|more, "\x01")...), wsframe.ErrReserved},
	"RSV1 in a fragment":                 {append(masked(rsv1|text, "\x01"), masked(fin|rsv1|more, "\x01")...), wsframe.ErrCompressed},
	"RSV1 in a ping":                     {masked(fin|rsv1|ping, ""), wsframe.ErrCompressed},
	"text within a compressed message":   {append(masked(rsv1|text, "\x01"), masked(fin|text, "{}")...), wsframe.ErrSequence},
	"binary within a compressed message": {append(masked(rsv1|text, "\x01"), masked(fin|binaryData, "{}")...), wsframe.ErrSequence},
	"compressed within compressed":       {append(masked(rsv1|text, "\x01"), masked(fin|rsv1|text, "\x00")...), wsframe.ErrSequence},
	"compressed within one that is not":  {append(masked(text, "{"), masked(fin|rsv1|text, "\x00")...), wsframe.ErrSequence},
	"a fragment with an unknown opcode":  {append(masked(rsv1|text, "\x01"), masked(fin|0x03, "\x01")...), wsframe.ErrOpcode},
	"no deflate":                         {masked(fin|rsv1|text, "\xff\xff\xff"), errInflate},
	"a bomb":                             {masked(fin|rsv1|text, compress(make([]byte, 1<<20))), wsframe.ErrTooLong},
	"compressed and too long":            {masked(fin|rsv1|text, make([]byte, 70<<10))[:14], wsframe.ErrTooLong},
	"plain and too long":                 {masked(fin|text, make([]byte, 70<<10))[:14], wsframe.ErrTooLong},
	"endless": {[]byte{fin | rsv1 | text, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4},
		wsframe.ErrTooLong},
	"a length that wraps around": {append(binary.BigEndian.AppendUint64(append(masked(rsv1|text, make([]byte, 10)), fin, 0xff), 1<<64-5),
		make([]byte, 1<<16)...), wsframe.ErrTooLong},
	"fragments without end, compressed": {append(masked(rsv1|text, make([]byte, 64<<10)), masked(more, "\x01")...), wsframe.ErrTooLong},
	"fragments without end": {append(masked(text, ""), bytes.Repeat(masked(more, ""), wire.FragmentsPerMessage)...),
		errFragments},
	"pings between them don't help": {append(masked(text, ""), bytes.Repeat(append(masked(fin|ping, ""), masked(more, "")...),
		wire.FragmentsPerMessage)...), errFragments},
}

func TestInvalidFramesAreRefused(t *testing.T) {
	good := masked(fin|text, "before")
	for name, c := range invalid {
		for _, chunk := range chunks {
			if chunk == 1 && len(c.give) > 1<<14 {
				continue
			}
			out, err := readAll(t, incoming(append(bytes.Clone(good), c.give...), chunk, 64<<10, true))
			if !errors.Is(err, c.want) {
				t.Errorf("%s, in chunks of %d: %v, want %v", name, chunk, err, c.want)
			}
			if out, found := bytes.CutPrefix(out, good); !found || bytes.ContainsRune(out, '}') {
				t.Errorf("%s: the reader got %.60q", name, out)
			}
		}
	}
	if _, err := readAll(t, incoming(masked(fin|rsv1|text, "\x00"), 100, 100, false)); !errors.Is(err, wsframe.ErrCompressed) {
		t.Errorf("compressed although that was not negotiated: %v", err)
	}
}

func TestMessagesTakeOnlySoLong(t *testing.T) {
	now := time.Now()
	slow, answer := masked(fin|text, make([]byte, 1000)), masked(fin|pong, "")
	in := inbound{limit: 64 << 10}
	buf := make([]byte, 256)
	for i := 0; in.err == nil; i++ {
		if i == len(slow) {
			t.Fatal("a byte a second is taken for ever")
		}
		n, _ := in.restore(buf)
		buf[n] = slow[i]
		in.filter(buf[:n+1], now.Add(time.Duration(i)*time.Second))
		after := time.Duration(i) * time.Second
		if in.err != nil && (in.err != errMessageTime || after <= wire.MessageTime || after > wire.MessageTime+time.Second) {
			t.Errorf("ended after %v: %v", after, in.err)
		}
	}
	in = inbound{limit: 64 << 10}
	for i := range 1000 { // whoever only answers pings has no message under way
		in.filter(bytes.Clone(answer), now.Add(time.Duration(i)*30*time.Second))
		if in.err != nil {
			t.Fatal(in.err)
		}
	}
}

// A takenOver response writer gives the connection to whoever upgrades the request.
type takenOver struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (w takenOver) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// messages are those that gorilla/websocket reads. The error tells what it found wrong; nil when it
// came to the end, or to a close frame.
func messages(t testing.TB, give []byte, limit int) (all []string, err error) {
	t.Helper()
	r := &http.Request{Method: http.MethodGet, Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}}
	conn := &stream{rest: bytes.Clone(give), chunk: 1 << 20}
	gorilla, err := new(websocket.Upgrader).Upgrade(takenOver{httptest.NewRecorder(), conn}, r, nil)
	testkit.Must(t, err)
	gorilla.SetReadLimit(int64(limit))
	for {
		_, p, err := gorilla.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed), err == io.EOF:
			return all, nil
		case err != nil:
			return all, err
		}
		all = append(all, string(p))
	}
}

// Whatever comes in, in whatever chunks: the reader gets the same, bounded, and only what
// gorilla/websocket takes for valid. Without compression that finds the same messages and the same
// fault in what came in.
func FuzzInbound(f *testing.F) {
	const limit = 4 << 10
	small := compress([]byte("hello"))
	f.Add(masked(fin|text, "hello"), 3, false)
	f.Add(masked(fin|rsv1|text, small), 3, true)
	f.Add(append(masked(rsv1|text, small[:2]), masked(fin|more, small[2:])...), 1, true)
	f.Add([]byte{fin | text, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, 1, false)
	for _, c := range invalid {
		if len(c.give) < 1<<10 {
			f.Add(c.give, 1, true)
			f.Add(c.give, 100, false)
		}
	}
	f.Fuzz(func(t *testing.T, give []byte, chunk int, deflate bool) {
		if chunk < 1 || len(give) > 1<<16 {
			return
		}
		give = append(give, make([]byte, wsframe.MaxHeader)...) // to end a header
		whole, err := readAll(t, incoming(give, len(give), limit, deflate))
		parts, perr := readAll(t, incoming(give, chunk, limit, deflate))
		if !bytes.Equal(whole, parts) || !errors.Is(perr, err) {
			t.Errorf("in one: %d bytes, %v; in chunks of %d: %d bytes, %v", len(whole), err, chunk, len(parts), perr)
		}
		if most := len(give) + len(give)/4*(limit+wsframe.MaxHeader); len(whole) > most {
			t.Errorf("%d bytes became %d", len(give), len(whole))
		}
		got, fault := messages(t, whole, limit)
		if fault != nil && !strings.Contains(fault.Error(), "close") {
			t.Errorf("the reader got what is not valid: %v", fault)
		}
		if deflate {
			return
		}
		want, wantFault := messages(t, give, limit)
		if errors.Is(err, errFragments) {
			want, wantFault = want[:min(len(got), len(want))], err
		}
		if !slices.Equal(got, want) || (err != nil || fault != nil) != (wantFault != nil) {
			t.Errorf("%q, %v, %v; want %q, %v", got, err, fault, want, wantFault)
		}
	})
}

// Of a connection that is closing only close frames pass: nothing else is gathered or inflated, and
// a message that was under way goes no further.
func TestOnlyCloseFramesPassOnceTheConnectionIsClosing(t *testing.T) {
	end := masked(fin|byte(wsframe.Close), "\x03\xe8")
	half := masked(rsv1|text, "half of a message")
	for _, give := range [][]byte{masked(fin|text, "x"), masked(fin|rsv1|text, "not even deflate"), masked(fin|ping, "x"),
		masked(fin|more, "the rest")} {
		in := inbound{limit: 1 << 10, deflate: true}
		if bytes.HasPrefix(give, []byte{fin | more}) {
			in.filter(bytes.Clone(half), time.Now())
		}
		in.closeOnly = true
		p := slices.Concat(give, end)
		n := in.filter(p, time.Now())
		if !bytes.Equal(p[:n], end) || in.err != nil || in.message != nil && len(in.message.payload)+len(in.message.out) > 0 {
			t.Errorf("of %q then a close frame %q passed: %v", give, p[:n], in.err)
		}
	}
}
