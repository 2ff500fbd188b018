package e2e_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// A client is a WebSocket with the node that it reached.
type client struct {
	t    *testing.T
	conn *websocket.Conn
	node string
}

// A frame is what any frame of the server may hold.
type frame struct {
	Event  string          `json:"event"`
	Room   string          `json:"room"`
	Offset string          `json:"offset"`
	Data   json.RawMessage `json:"data"`
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), address, nil)
	if err != nil {
		t.Fatalf("dial %s: %v (%+v)", address, err, response)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, conn: conn}
	var hello wire.Connected
	testkit.Must(t, json.Unmarshal(c.next(wire.EventConnected).Data, &hello))
	c.node = hello.Node
	return c
}

// next is the next frame with this event; others are passed over.
func (c *client) next(event string) frame {
	c.t.Helper()
	testkit.Must(c.t, c.conn.SetReadDeadline(time.Now().Add(patience)))
	for {
		var f frame
		if err := c.conn.ReadJSON(&f); err != nil {
			c.t.Fatalf("client of %q waits for %s: %v", c.node, event, err)
		}
		if f.Event == event {
			return f
		}
	}
}

func get(t *testing.T, address string) *http.Response {
	t.Helper()
	response, err := http.Get(address)
	testkit.Must(t, err)
	response.Body.Close()
	return response
}
