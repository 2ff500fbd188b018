package ws

import (
	"encoding/base64"
	"net/http"
	"net/url"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// A query is what the parameters of GET /ws ask for.
type query struct {
	joins []hub.Join
	user  string
}

// maxUser is the most bytes of ?userId=, which is shown to operators and kept as long as the connection.
const maxUser = 128

// parseQuery reads ?warehouse=&zone=&userId=. The error is a *wire.Error.
func parseQuery(r *http.Request) (query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return query{}, wire.Errorf(wire.CodeInvalidData, "the query can't be read: write it as ?warehouse=…&zone=…, percent-encoded")
	}
	q := query{user: values.Get("userId")}
	if n := len(q.user); n > maxUser {
		return query{}, wire.Errorf(wire.CodeInvalidData, "userId has %d bytes: at most %d are allowed", n, maxUser)
	}
	warehouse, zone := values.Get("warehouse"), values.Get("zone")
	if warehouse == "" && zone == "" {
		return q, nil
	}
	zones := []string{""}
	if zone != "" {
		zones = append(zones, zone)
	}
	for _, z := range zones {
		room, err := wire.NewRoom(warehouse, z)
		if err != nil {
			return query{}, err
		}
		q.joins = append(q.joins, hub.Join{Room: room})
	}
	return q, nil
}

// checkHandshake refuses what is not a WebSocket handshake (RFC 6455 section 4.2.1).
func checkHandshake(c echo.Context) error {
	r := c.Request()
	key := r.Header.Get("Sec-WebSocket-Key")
	if !websocket.IsWebSocketUpgrade(r) || r.Header.Get("Sec-WebSocket-Version") != "13" || key == "" {
		c.Response().Header().Set("Upgrade", "websocket") // RFC 9110 section 15.5.22
		c.Response().Header().Set("Sec-WebSocket-Version", "13")
		return echo.NewHTTPError(http.StatusUpgradeRequired, "this is a WebSocket endpoint: connect to it with a WebSocket client")
	}
	if p, err := base64.StdEncoding.DecodeString(key); err != nil || len(p) != 16 {
		return echo.NewHTTPError(http.StatusBadRequest, "the header Sec-WebSocket-Key must be 16 bytes in base64")
	}
	return nil
}
