package transport_test

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/logging"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/poll"
	"github.com/zonecast/zonecast/backend/internal/transport/sse"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/internal/transport/ws"
	"github.com/zonecast/zonecast/backend/wire"
)

// Whoever hangs up during a replay is no fault of the server: it is no error in its log, nor a
// warning.
func TestWhoHangsUpDuringAReplayIsNoFault(t *testing.T) {
	file := new(logFile)
	s := transporttest.Start(t, transporttest.Options{Transport: transport.WebSocket, Queued: 64 << 10, Log: logging.New(file, "json", slog.LevelDebug),
		Routes: func(e *echo.Echo, g *transport.Gate, pool *outbox.Pool) {
			e.GET("/ws", ws.New(ws.Options{Gate: g, Pool: pool}).Serve)
			routes := transporttest.Routes(e)
			g.AddRoutes(routes, "/sse", transport.SSE, sse.New(g, pool).Serve)
			g.AddRoutes(routes, "/poll", transport.Poll, poll.New(g, pool).Serve)
		}})
	from := s.Publish(transporttest.Zone, "E", "1").String()
	for range 2000 {
		s.Publish(transporttest.Zone, "E", `"`+strings.Repeat("x", 8000)+`"`)
	}
	address := strings.TrimPrefix(s.URL, "http://")
	dial := func(string, string) (net.Conn, error) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(4096)
		}
		return c, err
	}
	dialer := websocket.Dialer{NetDial: dial}
	get := func(path string) func() net.Conn {
		return func() net.Conn {
			c, err := dial("", "")
			testkit.Must(t, err)
			_, err = io.WriteString(c, "GET "+path+"?cursor="+transporttest.Zone.String()+"@"+from+" HTTP/1.1\r\nHost: "+address+"\r\n\r\n")
			testkit.Must(t, err)
			_, err = c.Read(make([]byte, 1))
			testkit.Must(t, err)
			return c
		}
	}
	for name, begin := range map[string]func() net.Conn{
		"SSE":  get("/sse"),
		"poll": get("/poll"),
		"the query of WebSocket": func() net.Conn {
			c, _, err := dialer.Dial("ws://"+address+"/ws?cursor="+transporttest.Zone.String()+"@"+from, nil)
			testkit.Must(t, err)
			return c.NetConn()
		},
		"a frame over WebSocket": func() net.Conn {
			c, _, err := dialer.Dial("ws://"+address+"/ws", nil)
			testkit.Must(t, err)
			testkit.Must(t, c.WriteMessage(websocket.TextMessage,
				[]byte(`{"event":"subscribe","id":1,"data":{"warehouse":"w1","zone":"a","offset":"`+from+`"}}`)))
			for {
				_, p, err := c.ReadMessage()
				testkit.Must(t, err)
				if f, err := wire.DecodeServer(p); err == nil && f.Event == wire.EventAck {
					return c.NetConn()
				}
			}
		},
	} {
		c := begin()
		testkit.Must(t, c.(*net.TCPConn).SetLinger(0)) // a reset
		testkit.Must(t, c.Close())
		testkit.Eventually(t, name+" has ended", func() bool { return s.Hub.Connections() == 0 })
	}
	for _, message := range []string{"frame failed", "replay failed", "stream failed", "request failed"} {
		for _, line := range file.lines(t, message) {
			t.Errorf("logged %v", line)
		}
	}
}
