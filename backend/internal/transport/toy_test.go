package transport_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// A toy is a whole transport, as docs/transports.md describes it: GET /toy answers with a line for
// each frame, "{cursor} {frame}", and at last "close {code}".
type toy struct {
	gate *transport.Gate
	pool *outbox.Pool
}

const toyName = "toy"

func newToy(gate *transport.Gate, pool *outbox.Pool) *toy {
	gate.AddTransport(toyName)
	return &toy{gate, pool}
}

var toyEncoding = &outbox.Encoding{
	Transport: toyName,
	Append:    func(dst []byte, f *outbox.Frame) []byte { return append(append(dst, f.JSON...), '\n') },
	Closing:   func(code wire.CloseCode, _ string) []byte { return fmt.Appendf(nil, "close %d\n", code) },
	Final:     true,
}

// toySink is one end of a pipe, whose other end the request's handler copies into the response.
type toySink struct{ *io.PipeWriter }

func (s toySink) SetDeadline(t time.Time) error {
	time.AfterFunc(time.Until(t), func() { s.Close() })
	return nil
}

// toyCursor puts the client's cursor before each frame that moves it.
type toyCursor struct{ at wire.Cursor }

func (c *toyCursor) Prefix(dst []byte, f *outbox.Frame) []byte {
	if p, ok := f.Position(); ok {
		c.at.Move(p.Room, p.Offset)
		dst = append(c.at.Append(dst), ' ')
	}
	return dst
}

func (h *toy) serve(c echo.Context) error {
	visit, err := h.gate.Admit(c)
	if err != nil {
		return err
	}
	defer visit.Leave()
	r, w := io.Pipe()
	cursor := new(toyCursor)
	s := visit.Open(h.pool.NewQueue(toySink{w}, toyEncoding, cursor))
	defer s.End()
	s.Authorize(visit.Who)
	ctx := c.Request().Context()
	go func() {
		err := s.Join(ctx, visit.Joins, func(places wire.Cursor) {
			cursor.at = visit.Cursor(places)
			s.Queue.Send(s.Connected(places))
		})
		if err != nil {
			s.Queue.Close(wire.CloseRestart, "the rooms could not be joined: reconnect")
		}
	}()
	c.Response().WriteHeader(http.StatusOK)
	defer context.AfterFunc(ctx, func() { r.Close() })()
	for lines := bufio.NewReader(r); ; c.Response().Flush() {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil
		}
		c.Response().Write(line)
	}
}

func startToy(t *testing.T) *transporttest.Server {
	return transporttest.Start(t, transporttest.Options{Transport: toyName,
		Routes: func(e *echo.Echo, gate *transport.Gate, pool *outbox.Pool) {
			gate.AddRoutes(transporttest.Routes(e), "/toy", toyName, newToy(gate, pool).serve)
		}})
}

// A toyClient reads lines.
type toyClient struct {
	t  *testing.T
	in *bufio.Reader
}

func connectToy(t *testing.T, s *transporttest.Server, query string) *toyClient {
	t.Helper()
	answer, err := http.Get(s.URL + "/toy?" + query)
	testkit.Must(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	c := &toyClient{t, bufio.NewReader(answer.Body)}
	c.want(`{"event":"connected"`)
	return c
}

// want reads a line that begins so, and returns it.
func (c *toyClient) want(prefix string) string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, prefix) {
		c.t.Fatalf("read %q %v, want %s…", line, err, prefix)
	}
	return line
}

// A transport that the server does not know delivers broadcasts, resumes by its cursor, posts
// frames and tells why it closes, and is in the metrics, with what it brings alone.
func TestATransportOfSomeoneElse(t *testing.T) {
	s := startToy(t)
	one := connectToy(t, s, "warehouse=w1&zone=a")
	at := s.Publish(transporttest.Zone, "ZONE_UPDATE", `"first"`)
	line := one.want("warehouse:w1@")
	cursor, frame, _ := strings.Cut(line, " ")
	if f, err := wire.DecodeServer([]byte(frame)); err != nil || string(f.Data) != `"first"` ||
		!strings.HasSuffix(cursor, "zone:w1:a@"+at.String()) {
		t.Errorf("read %q: %v", line, err)
	}
	s.Publish(transporttest.Zone, "ZONE_UPDATE", `"second"`)
	two := connectToy(t, s, "cursor="+cursor)
	for _, c := range []*toyClient{one, two} {
		if line := c.want("warehouse:w1@"); !strings.Contains(line, `"second"`) {
			t.Errorf("read %q", line)
		}
	}
	answer, err := http.Post(s.URL+"/toy", "application/json", strings.NewReader(`{"event":"echo","data":7,"id":1}`))
	testkit.Must(t, err)
	answer.Body.Close()
	if n := s.Counter("zonecast_connections", "transport=toy"); n != 2 || answer.StatusCode != http.StatusOK {
		t.Errorf("%v connections are counted, the echo is answered %s", n, answer.Status)
	}
	for _, session := range s.Hub.Sessions() {
		session.Queue.Close(wire.CloseForbidden, "go away")
	}
	for _, c := range []*toyClient{one, two} {
		c.want("close 4403\n")
		if _, err := c.in.ReadByte(); err != io.EOF {
			t.Errorf("after the reason: %v, want the end", err)
		}
	}
	s.WantClosed(wire.CloseForbidden, 2)
	three := connectToy(t, s, "warehouse=w1")
	s.Gate.Drain(t.Context())
	three.want(`{"event":"drain"`)
	three.want("close 1012\n")
	s.WantClosed(wire.CloseRestart, 1)
	s.WantCount(3, "zonecast_messages_delivered_total", "transport=toy")
}

// A transport that was not added is counted all the same.
func TestATransportThatWasNotAddedIsCounted(t *testing.T) {
	s := transporttest.Start(t, transporttest.Options{Transport: "unknown",
		Routes: func(_ *echo.Echo, gate *transport.Gate, pool *outbox.Pool) {
			by := &outbox.Encoding{Transport: "unknown", Append: toyEncoding.Append, Closing: toyEncoding.Closing}
			r, w := io.Pipe()
			session := gate.Open("", hub.Peer{}, pool.NewQueue(toySink{w}, by, nil), nil)
			if n := gate.Connections("unknown"); n != 1 {
				t.Errorf("%d connections are counted", n)
			}
			r.Close()
			session.End()
		}})
	s.WantClosed(wire.CloseGoingAway, 1)
}
