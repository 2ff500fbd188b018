package ws

import (
	"encoding/base64"
	"net/http"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
)

// checkHandshake refuses what is not a WebSocket handshake (RFC 6455 section 4.2.1).
func checkHandshake(c echo.Context) error {
	r := c.Request()
	key := r.Header.Get("Sec-WebSocket-Key")
	if !websocket.IsWebSocketUpgrade(r) || r.Header.Get("Sec-WebSocket-Version") != "13" || key == "" {
		c.Response().Header().Set("Upgrade", "websocket") // RFC 9110 section 15.5.22
		c.Response().Header().Set("Sec-WebSocket-Version", "13")
		return echo.NewHTTPError(http.StatusUpgradeRequired,
			"this is a WebSocket endpoint: connect to it with a WebSocket client")
	}
	if p, err := base64.StdEncoding.DecodeString(key); err != nil || len(p) != 16 {
		return echo.NewHTTPError(http.StatusBadRequest, "the header Sec-WebSocket-Key must be 16 bytes in base64")
	}
	return nil
}

// handshakeOf returns what melody needs of a request, without what the server's own refers to: its
// buffers and contexts are freed while the connection goes on.
func handshakeOf(r *http.Request) *http.Request {
	h := &http.Request{Method: r.Method, Host: r.Host, Header: http.Header{}, Proto: r.Proto,
		ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor}
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Version", "Sec-Websocket-Key"} {
		h.Header[name] = r.Header[name]
	}
	return h
}
