package ws_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
)

// A raw connection speaks as much of RFC 6455 as a test tells it to.
type raw struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

// raw connects and shakes hands; what comes after the response waits to be read.
func (s *server) raw(query string) *raw {
	s.t.Helper()
	return s.rawOffering(query, "")
}

// rawOffering is raw for a client that offers extensions.
func (s *server) rawOffering(query, extensions string) *raw {
	s.t.Helper()
	if extensions != "" {
		extensions = "Sec-WebSocket-Extensions: " + extensions + "\r\n"
	}
	r := s.rawWith(query, extensions, nil)
	r.handshaken()
	return r
}

// rawWith sends the handshake, with further headers, and extra in one piece.
func (s *server) rawWith(query, headers string, extra []byte) *raw {
	s.t.Helper()
	r := s.knock(query, headers, extra)
	s.t.Cleanup(func() { r.Close() })
	return r
}

// visitor is rawOffering for thousands of connections: the caller closes them, not the test's end.
func (s *server) visitor(query, extensions string) *raw {
	s.t.Helper()
	r := s.knock(query, "Sec-WebSocket-Extensions: "+extensions+"\r\n", nil)
	r.handshaken()
	return r
}

func (s *server) knock(query, headers string, extra []byte) *raw {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address)
	testkit.Must(s.t, err)
	conn.SetDeadline(time.Now().Add(patience))
	conn.Write(append(fmt.Appendf(nil, "GET /ws?%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", query, s.address, headers), extra...))
	return &raw{Conn: conn, t: s.t, in: bufio.NewReader(conn)}
}

// handshaken reads the response, and returns its header.
func (r *raw) handshaken() http.Header {
	r.t.Helper()
	const accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" // the example of RFC 6455 section 1.3
	answer, err := http.ReadResponse(r.in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols ||
		answer.Header.Get("Sec-WebSocket-Accept") != accept {
		r.t.Fatalf("handshake: %+v %v", answer, err)
	}
	return answer.Header
}

// The first byte of a frame: an opcode, and bits (RFC 6455 section 5.2).
const (
	continuation, text, binaryData, closing, ping, pong = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
	final, compressed, masked                           = 0x80, 0x40, 0x80
)

// frame returns a masked frame with this first byte, which may be wrong.
func frame(first byte, payload string) []byte {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	p := wsframe.AppendMasked(nil, wsframe.Op(first&0x0f), key, []byte(payload))
	p[0] = first
	return p
}

// next reads one frame, which must be a whole message; the opcode of a compressed one has RSV1.
func (r *raw) next() (opcode byte, payload string, err error) {
	h, p, err := testkit.ReadFrame(r.in, nil)
	if err == nil && !h.Final {
		r.t.Errorf("the server sent a frame that begins with %+v", h)
	}
	if opcode = byte(h.Op); h.Deflated {
		opcode |= compressed
	}
	return opcode, string(p), err
}

// until reads frames until one of this opcode, or the end.
func (r *raw) until(opcode byte) (payload string) {
	r.t.Helper()
	for {
		is, payload, err := r.next()
		if err != nil {
			r.t.Fatalf("the connection ended before a frame of kind %x: %v", opcode, err)
		}
		if is == opcode {
			return payload
		}
	}
}

// answer reads frames until the ack or error with an id.
func (r *raw) answer(id int64) wire.ServerFrame {
	r.t.Helper()
	for {
		f, err := wire.DecodeServer([]byte(r.until(text)))
		testkit.Must(r.t, err)
		if f.ID == id {
			return f
		}
	}
}

// end reads until the connection ends, and returns the close frame's code; 0 without one.
func (r *raw) end() (code int) {
	r.t.Helper()
	code, _ = r.ended()
	return code
}

// ended is end, with the reason of the close frame.
func (r *raw) ended() (code int, reason string) {
	r.t.Helper()
	for {
		opcode, payload, err := r.next()
		switch {
		case opcode == closing && err == nil && len(payload) >= 2:
			code, reason = wsframe.CloseReason([]byte(payload))
		case err != nil:
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				r.t.Errorf("the connection did not end within %v", patience)
			}
			return code, reason
		}
	}
}

func TestAFrameMayComeInPartsWithAPingBetween(t *testing.T) {
	s := start(t, options{})
	r := s.raw("")
	for i, p := range [][]byte{
		frame(text, `{"event":"ec`), frame(continuation, ``), frame(final|ping, "are you there?"),
		frame(continuation, `ho","id":5,`), frame(final|continuation, `"data":"parts"}`),
	} {
		for k := range p { // and the parts byte by byte
			if _, err := r.Write(p[k : k+1]); err != nil {
				t.Fatalf("part %d: %v", i, err)
			}
		}
	}
	if got := r.until(pong); got != "are you there?" {
		t.Errorf("the ping was answered with %q", got)
	}
	if f := r.answer(5); f.Event != wire.EventAck || string(f.Data) != `"parts"` {
		t.Errorf("the answer is %+v", f)
	}
}

func TestManyFramesInOnePieceAreAnsweredInOrder(t *testing.T) {
	s := start(t, options{})
	r := s.raw("")
	const n = 200
	var all []byte
	for i := range n {
		all = append(all, frame(final|text, fmt.Sprintf(`{"event":"echo","id":%d,"data":%d}`, i+1, i))...)
	}
	if _, err := r.Write(all); err != nil {
		t.Fatal(err)
	}
	r.until(text) // connected
	for i := range n {
		if f, err := wire.DecodeServer([]byte(r.until(text))); err != nil || f.ID != int64(i+1) {
			t.Fatalf("answer %d is %+v %v", i+1, f, err)
		}
	}
}

// A client must wait for the response before it sends (RFC 6455 section 4.1); one that doesn't is
// served or cut off, but its frames don't vanish.
func TestAFrameWithTheHandshakeDoesNotVanish(t *testing.T) {
	s := start(t, options{})
	r := s.rawWith("", "", frame(final|text, `{"event":"echo","id":5,"data":"early"}`))
	answer, err := http.ReadResponse(r.in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		return // refused
	}
	if _, err := r.Write(frame(final|text, `{"event":"echo","id":6,"data":"later"}`)); err != nil {
		return
	}
	for {
		opcode, payload, err := r.next()
		if err != nil || opcode == closing {
			return // cut off
		}
		if f, _ := wire.DecodeServer([]byte(payload)); f.ID == 5 {
			return // served
		} else if f.ID == 6 {
			t.Fatal("the second frame was answered, the first was not")
		}
	}
}

// Whoever breaks RFC 6455 or RFC 7692 is closed, told what to change and counted under one name;
// others notice nothing. One of each kind is here: TestInvalidFramesAreRefused and those of wsframe
// have all that can be wrong with a frame.
func TestBrokenFramesEndTheConnection(t *testing.T) {
	unmasked := append([]byte{final | text, 2}, "{}"...)
	const plain, deflate = "", "permessage-deflate"
	s := start(t, options{deflate: 1024})
	bystander := s.dial("warehouse=w1")
	for i, tt := range []struct {
		name       string
		extensions string
		give       []byte
		want       wire.CloseCode // 0 when more than one would do
	}{
		{"unmasked", plain, unmasked, wire.CloseBadFrame},
		{"a continuation of nothing", plain, frame(final|continuation, "x"), wire.CloseBadFrame},
		{"a close frame of one byte", plain, frame(final|closing, "x"), 0},
		{"a close frame with a bad code", plain, frame(final|closing, "\x00\x01"), wire.CloseBadFrame},
		{"too much in parts", plain, append(frame(text, strings.Repeat("x", frameLimit)), frame(final|continuation, "x")...), wire.CloseTooBig},
		{"a length over the limit without the bytes", plain, frame(final|text, strings.Repeat("x", frameLimit+1))[:8], wire.CloseTooBig},
		{"no deflate", deflate, frame(final|compressed|text, "\xff\xff\xff"), wire.CloseBadFrame},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := s.Counter("zonecast_connections_closed_total", "code="+tt.want.String())
			r := s.in(t).rawOffering("warehouse=w1", tt.extensions)
			r.until(text)
			if _, err := r.Write(tt.give); err != nil {
				t.Fatal(err)
			}
			code, reason := r.ended()
			r.Close()
			eventually(t, "the connection is counted", func() bool {
				return s.Counter("zonecast_connections_closed_total") == float64(i+1)
			})
			if tt.want == 0 {
				return
			}
			if code != int(tt.want) {
				t.Errorf("the connection ended with %d, want %d", code, tt.want)
			}
			if tt.want == wire.CloseBadFrame && !strings.Contains(reason, "(RFC ") {
				t.Errorf("the reason %q does not say what to change", reason)
			}
			s.WantCount(before+1, "zonecast_connections_closed_total", "code="+tt.want.String())
		})
	}
	s.WantCount(0, "zonecast_messages_received_total")
	bystander.wantAlive()
}
