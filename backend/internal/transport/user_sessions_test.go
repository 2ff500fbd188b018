package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// A connection that stays open, and how it ends.
type held struct{ end func() string }

// hold are the ways to hold a connection open, by name. They return once it counts.
var hold = map[string]func(t *testing.T, s *transporttest.Server, cursor, token string) held{
	"WebSocket": func(t *testing.T, s *transporttest.Server, cursor, token string) held {
		c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL, "http")+"/ws?warehouse=w1", bearer(token))
		testkit.Must(t, err)
		t.Cleanup(func() { c.Close() })
		_, p, err := c.ReadMessage()
		testkit.Must(t, err)
		if f, err := wire.DecodeServer(p); err != nil || f.Event != wire.EventConnected {
			t.Fatalf("the first frame is %s, %v", p, err)
		}
		return held{func() string {
			_, p, err := c.ReadMessage()
			if websocket.IsCloseError(err, int(wire.CloseReplaced)) {
				return "replaced"
			}
			return fmt.Sprintf("%s %v", p, err)
		}}
	},
	"SSE": func(t *testing.T, s *transporttest.Server, cursor, token string) held {
		answer, err := s.Get(http.DefaultClient, "/sse?warehouse=w1", "Authorization", "Bearer "+token)
		testkit.Must(t, err)
		t.Cleanup(func() { answer.Body.Close() })
		events := transporttest.ReadEvents(answer.Body)
		if e, err := events.Next(); err != nil || e.Frame.Event != wire.EventConnected {
			t.Fatalf("the first event is %+v, %v", e, err)
		}
		return held{func() string {
			e, err := events.Next()
			if err == nil && e.Name == "close" && strings.Contains(e.Data, `"code":4409`) && e.Retry == "60000" {
				return "replaced"
			}
			return e.Data
		}}
	},
	"poll": func(t *testing.T, s *transporttest.Server, cursor, token string) held {
		ended := make(chan string, 1)
		go func() {
			answer, err := s.Get(http.DefaultClient, "/poll?cursor="+cursor, "Authorization", "Bearer "+token)
			if err != nil {
				ended <- err.Error()
				return
			}
			defer answer.Body.Close()
			p, _ := io.ReadAll(answer.Body)
			if answer.StatusCode == http.StatusConflict && strings.Contains(string(p), `"code":"replaced"`) {
				p = []byte("replaced")
			}
			ended <- string(p)
		}()
		testkit.Eventually(t, "a poll waits", func() bool { return s.Gate.Connections(transport.Poll) > 0 })
		return held{func() string { return <-ended }}
	},
}

// At MAX_CONNECTIONS_PER_USER with USER_LIMIT_POLICY=replace the newest connection of a user wins,
// whatever the two transports are, and is told so; other users' go on.
func TestTheNewestConnectionOfAUserReplacesTheOldestOverAndAcrossAllTransports(t *testing.T) {
	token := func(user string) string {
		return transporttest.Token(t, jwt.MapClaims{"sub": user, "warehouses": []string{"w1"}})
	}
	for first, before := range hold {
		for second, after := range hold {
			t.Run(first+" by "+second, func(t *testing.T) {
				s := startLimited(t, auth.Options{TokenSecret: transporttest.Secret}, transport.Limits{ConnectionsPerUser: 1, ReplaceOldest: true})
				cursor := "warehouse:w1@" + s.Publish(wire.Room{Warehouse: "w1"}, "TICK", "0").String()
				hold["WebSocket"](t, s, "", token("other"))
				old := before(t, s, cursor, token("u"))
				after(t, s, cursor, token("u"))
				if got := old.end(); got != "replaced" {
					t.Errorf("the first one ends with %q, want replaced", got)
				}
			})
		}
	}
}

// A device whose network dropped without a word comes back at once, not only after the pong
// timeout.
func TestADeadConnectionDoesNotLockItsUserOut(t *testing.T) {
	s := startLimited(t, auth.Options{TokenSecret: transporttest.Secret}, transport.Limits{ConnectionsPerUser: 2, ReplaceOldest: true})
	token := transporttest.Token(t, jwt.MapClaims{"sub": "u", "warehouses": []string{"w1"}})
	for range 20 { // nobody reads any of them, nor answers a close frame
		hold["WebSocket"](t, s, "", token)
	}
	s.WantClosed(wire.CloseReplaced, 18)
}
