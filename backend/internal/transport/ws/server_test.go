package ws_test

import (
	"cmp"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/internal/transport/ws"
)

// A server has the transport under test.
type server struct {
	*transporttest.Server
	t       testing.TB
	address string // host:port
}

// options that differ from the protocol's defaults; zero values are the defaults.
type options struct {
	transporttest.Options
	deflate int // from how many bytes on; 0 for never
}

func start(t testing.TB, o options) *server {
	t.Helper()
	o.Transport, o.History = transport.WebSocket, cmp.Or(o.History, 100)
	o.Routes = func(e *echo.Echo, gate *transport.Gate, pool *outbox.Pool) {
		e.GET("/ws", ws.New(ws.Options{Gate: gate, Pool: pool, DeflateFrom: o.deflate}).Serve)
	}
	s := transporttest.Start(t, o.Options)
	return &server{s, t, strings.TrimPrefix(s.URL, "http://")}
}

// in returns the server for a test within the one that started it.
func (s *server) in(t testing.TB) *server { return &server{s.In(t), t, s.address} }

var (
	zone       = transporttest.Zone
	eventually = testkit.Eventually
)

const (
	patience   = testkit.Patience
	frameLimit = transporttest.FrameLimit
)
