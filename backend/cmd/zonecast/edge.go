package main

import (
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/edge"
)

// receiveBufferBytes holds many frames and small publications; a larger body takes more round trips.
const receiveBufferBytes = 32 << 10

// bounded bounds what the connections of a listener cost, before HTTP sees them.
func (s *server) bounded(l net.Listener) net.Listener {
	proxies, _ := s.config.Proxies() // checked already
	all, perAddress := s.config.TCPConnections(descriptors())
	bounded := edge.Listen(l, edge.Options{Connections: all, ConnectionsPerAddress: perAddress, Proxies: proxies,
		SendBufferBytes: s.config.SendBufferBytes, UserTimeout: s.config.HeartbeatInterval + s.config.PongTimeout,
		Refused: s.metrics.RefuseConnection})
	s.metrics.Gauge("zonecast_tcp_connections", "Open TCP connections, whatever they are used for.", nil,
		func() float64 { return float64(bounded.Open()) })
	return bounded
}

// answerTimeout is how long a client may take to take an answer, from its first byte on.
const answerTimeout = 30 * time.Second

// timeAnswers bounds how long a client may take to take an answer. Streams see to theirs by
// themselves: they write past c.Response, or set a deadline for each event.
func timeAnswers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		connection := http.NewResponseController(c.Response().Writer)
		c.Response().Before(func() {
			_ = connection.SetWriteDeadline(time.Now().Add(answerTimeout)) // where it can't be set there is no connection
		})
		return next(c)
	}
}
