package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
)

// One bucket for all ways in: what one spends, the others lack. A room of a query costs one, and so
// does each message of a batch.
func TestEveryWayInSpendsTheUsersFrames(t *testing.T) {
	message := `{"warehouse":"w","event":"E"}`
	for name, way := range map[string]struct{ method, path, body, refused string }{
		"publish":      {http.MethodPost, "/api/v1/warehouses/w/broadcast", `{"event":"E"}`, `zonecast_publishes_total{result="rate_limited",via="http"}`},
		"batch":        {http.MethodPost, "/api/v1/broadcast", fmt.Sprintf(`{"messages":[%s,%s]}`, message, message), `zonecast_publishes_total{result="rate_limited",via="http"}`},
		"poll":         {http.MethodGet, "/poll?warehouse=w&zone=a&wait=0", "", `zonecast_connections_refused_total{reason="rate_limited"}`},
		"stream":       {http.MethodGet, "/sse?warehouse=w&zone=a", "", `zonecast_connections_refused_total{reason="rate_limited"}`},
		"posted frame": {http.MethodPost, "/poll", `{"event":"echo","id":1}`, `zonecast_messages_dropped_total{reason="rate_limited"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, "--auth-token-secret="+transporttest.Secret, "--user-rate-limit-tokens=4", "--user-rate-limit-refill=0.001")
			ask := func(user, method, path, body string) int {
				t.Helper()
				token := transporttest.Token(t, jwt.MapClaims{"sub": user, "warehouses": []string{"*"}, "publish": true})
				r, err := http.NewRequestWithContext(t.Context(), method, s.url()+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+token)
				answer, err := http.DefaultTransport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				if answer.StatusCode == http.StatusTooManyRequests && answer.Header.Get("Retry-After") == "" {
					t.Error("429 without Retry-After")
				}
				return answer.StatusCode
			}
			// A poll costs one, and one for each room that nobody is in.
			for _, give := range []string{"/poll?warehouse=w1&wait=0", "/poll?warehouse=w2&wait=0"} {
				if got := ask("u-1", http.MethodGet, give, ""); got != http.StatusOK {
					t.Fatalf("within the limit: %d", got)
				}
			}
			if got := ask("u-1", way.method, way.path, way.body); got != http.StatusTooManyRequests {
				t.Errorf("over the limit: %d, want 429", got)
			}
			if got := ask("u-2", way.method, way.path, way.body); got != http.StatusOK {
				t.Errorf("another user: %d", got)
			}
			if n := s.scrape(t)[way.refused]; n != 1 {
				t.Errorf("%s is %v, want 1", way.refused, n)
			}
		})
	}
}

// Who names many rooms that nobody is in pays for them over WebSocket, too; those of a warehouse
// and a zone are free, since thousands of clients may come back to them at once.
func TestAHandshakeSpendsTheUsersFramesForManyRooms(t *testing.T) {
	s := serving(t, "--auth-token-secret="+transporttest.Secret, "--user-rate-limit-tokens=4", "--user-rate-limit-refill=0.001")
	token := transporttest.Token(t, jwt.MapClaims{"sub": "u", "warehouses": []string{"*"}})
	first := func(query string) string {
		t.Helper()
		conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/ws?token="+token+"&"+query, nil)
		testkit.Must(t, err)
		defer conn.Close()
		_, p, err := conn.ReadMessage()
		testkit.Must(t, err)
		return string(p)
	}
	many := func(warehouse string) string {
		rooms := make([]string, 20)
		for i := range rooms {
			rooms[i] = fmt.Sprintf("zone:%s:z%d@x-1", warehouse, i)
		}
		return "cursor=" + strings.Join(rooms, ",")
	}
	for _, c := range []struct{ query, want string }{{many("a"), "connected"}, {many("b"), "rate_limited"}, {"warehouse=w&zone=z", "connected"}} {
		if got := first(c.query); !strings.Contains(got, c.want) {
			t.Errorf("%.40s… is answered %s, want %s", c.query, got, c.want)
		}
	}
}

// Who guesses tokens, keys or PINs pays for each guess out of the frames of their address,
// whichever way they come.
func TestWrongTokensSpendTheAddressesFrames(t *testing.T) {
	for name, way := range map[string]struct{ method, path, body string }{
		"publish":         {http.MethodPost, "/api/v1/warehouses/w/broadcast", `{"event":"E"}`},
		"batch":           {http.MethodPost, "/api/v1/broadcast", `{"messages":[{"warehouse":"w","event":"E"}]}`},
		"poll":            {http.MethodGet, "/poll?warehouse=w&zone=a&wait=0", ""},
		"stream":          {http.MethodGet, "/sse?warehouse=w&zone=a", ""},
		"posted frame":    {http.MethodPost, "/poll", `{"event":"echo","id":1}`},
		"list of alerts":  {http.MethodGet, "/api/v1/warehouses/w/alerts", ""},
		"acknowledge":     {http.MethodPost, "/api/v1/warehouses/w/alerts/acknowledge", `{"id":"a"}`},
		"retained events": {http.MethodDelete, "/api/v1/warehouses/w/retained/E", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serving(t, "--auth-token-secret="+transporttest.Secret, "--address-rate-limit-tokens=3", "--address-rate-limit-refill=0.001")
			for n := range 5 {
				r, err := http.NewRequestWithContext(t.Context(), way.method, s.url()+way.path, strings.NewReader(way.body))
				testkit.Must(t, err)
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", fmt.Sprint("Bearer wrong-", n))
				answer, err := http.DefaultTransport.RoundTrip(r)
				testkit.Must(t, err)
				answer.Body.Close()
				if want := map[bool]int{true: http.StatusUnauthorized, false: http.StatusTooManyRequests}[n < 3]; answer.StatusCode != want {
					t.Errorf("guess %d: %s, want %d", n, answer.Status, want)
				}
			}
		})
	}
}
