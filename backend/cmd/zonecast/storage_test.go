package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// keyOfRoom returns a key of a room in Redis, "" for none. What instances keep for themselves they
// may write at any time.
func keyOfRoom(t *testing.T, r *stack.Redis) string {
	t.Helper()
	key, err := r.Command(t.Context(), "KEYS zonecast:{*")
	testkit.Must(t, err)
	return key
}

// Who may only read can't leave anything in Redis, by whatever way rooms are asked for.
func TestAReadOnlyTokenLeavesNothingInRedis(t *testing.T) {
	redis := stacktest.Redis(t, stack.Single).Redis
	s := serving(t, "--redis-url="+redis.URL, "--auth-token-secret="+transporttest.Secret, "--user-rate-limit-tokens=0",
		"--canary-interval=0s")
	token := transporttest.Token(t, jwt.MapClaims{"sub": "reader", "warehouses": []string{"*"},
		"exp": time.Now().Add(time.Hour).Unix()})
	next := 0
	rooms := func(n int) (names []string) {
		for range n {
			next++
			names = append(names, fmt.Sprintf("zone:w%d:a", next))
		}
		return names
	}
	get := func(path string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+path, nil)
		testkit.Must(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		testkit.Must(t, err)
		if answer.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(answer.Body)
			t.Fatalf("%.80s: %s %s", path, answer.Status, body)
		}
		return answer
	}
	for range 3 {
		get("/poll?room=" + strings.Join(rooms(64), "&room=")).Body.Close()
		get("/poll?wait=1&cursor=" + strings.Join(rooms(64), "@stranger-7,") + "@e-0").Body.Close()
		stream := get("/sse?room=" + strings.Join(rooms(64), "&room="))
		_, err := io.ReadFull(stream.Body, make([]byte, 10))
		testkit.Must(t, err)
		stream.Body.Close()
	}
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/ws?token="+token, nil)
	testkit.Must(t, err)
	defer conn.Close()
	for i := range 64 {
		testkit.Must(t, conn.WriteJSON(map[string]any{"event": "subscribe", "id": i,
			"data": map[string]string{"warehouse": fmt.Sprint("ws", i), "zone": "a", "offset": "stranger-" + fmt.Sprint(i)}}))
	}
	for acks := 0; acks < 64; {
		_, p, err := conn.ReadMessage()
		testkit.Must(t, err)
		f, err := wire.DecodeServer(p)
		testkit.Must(t, err)
		if f.Event == wire.EventError {
			t.Fatalf("%s", p)
		}
		if f.Event == wire.EventAck {
			acks++
		}
	}
	if key := keyOfRoom(t, redis); key != "" {
		t.Errorf("Redis has %s, want no key of a room", key)
	}
}

// While Redis is full instances stay ready, and say what is wrong; publishers are told, and members
// stay.
func TestAFullRedisIsSaidAndTakesNoInstanceOut(t *testing.T) {
	redis := stacktest.Redis(t, stack.Single).Redis
	s := serving(t, "--redis-url="+redis.URL)
	if answer, body := s.ask(t, http.MethodPost, "/api/v1/warehouses/kept/broadcast", `{"event":"E","retain":true}`); answer.StatusCode != http.StatusOK {
		t.Fatalf("publishing: %s %s", answer.Status, body)
	}
	_, err := redis.Command(t.Context(), "CONFIG SET maxmemory 1")
	testkit.Must(t, err)
	testkit.Eventually(t, "it is said", func() bool {
		answer, body := s.ask(t, http.MethodGet, "/readyz")
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("/readyz: %s %s", answer.Status, body)
		}
		var said struct{ Warnings []string }
		testkit.Must(t, json.Unmarshal(body, &said))
		return len(said.Warnings) == 1 && strings.Contains(said.Warnings[0], "Redis is out of memory")
	})
	answer, body := s.ask(t, http.MethodPost, "/api/v1/warehouses/w/broadcast", `{"event":"E"}`)
	if answer.StatusCode != http.StatusServiceUnavailable || !bytes.Contains(body, []byte("Redis is out of memory, nothing was done")) ||
		answer.Header.Get("Retry-After") == "" {
		t.Errorf("publishing: %s %s", answer.Status, body)
	}
	if answer, body = s.ask(t, http.MethodGet, "/poll?warehouse=w"); answer.StatusCode != http.StatusOK {
		t.Errorf("joining a room: %s %s", answer.Status, body)
	}
	for _, path := range []string{"/api/v1/warehouses/kept/retained/E", "/api/v1/warehouses/kept"} {
		if answer, body = s.ask(t, http.MethodDelete, path); answer.StatusCode != http.StatusNoContent {
			t.Errorf("making room with DELETE %s: %s %s", path, answer.Status, body)
		}
	}
	_, err = redis.Command(t.Context(), "CONFIG SET maxmemory 0")
	testkit.Must(t, err)
	testkit.Succeeds(t, "publishing works again", func() error {
		if answer, body := s.ask(t, http.MethodPost, "/api/v1/warehouses/w/broadcast", `{"event":"E"}`); answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s %s", answer.Status, body)
		}
		return nil
	})
}

// Settings reach what they are for: quotas, the age of retained events, the prefix.
func TestSettingsOfWhatIsKept(t *testing.T) {
	redis := stacktest.Redis(t, stack.Single).Redis
	for name, broker := range map[string][]string{"memory": nil, "Redis": {"--redis-url=" + redis.URL, "--redis-prefix=staging"}} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, append(broker, "--quota-rooms=2", "--quota-publish-burst=4", "--quota-publish-rate=0.001")...)
			publish := func(zone string) (int, string) {
				answer, body := s.ask(t, http.MethodPost, "/api/v1/warehouses/w/zones/"+zone+"/broadcast", `{"event":"E","retain":true}`)
				return answer.StatusCode, string(body)
			}
			for i, want := range []struct {
				status int
				says   string
			}{{200, ""}, {200, ""}, {507, "QUOTA_ROOMS"}, {507, "quota_exceeded"}, {429, "QUOTA_PUBLISH_RATE"}} {
				if status, said := publish(fmt.Sprint(i)); status != want.status || !strings.Contains(said, want.says) {
					t.Errorf("publication %d: %d %s, want %d %s", i, status, said, want.status, want.says)
				}
			}
			metrics := s.scrape(t)
			for series, want := range map[string]float64{
				`zonecast_quota_refusals_total{quota="rooms"}`:                    2,
				`zonecast_quota_refusals_total{quota="publish_rate"}`:             1,
				`zonecast_warehouse_usage{quota="rooms",warehouse="w"}`:           2,
				`zonecast_warehouse_usage{quota="retained_events",warehouse="w"}`: 2,
				`zonecast_publishes_total{result="quota_exceeded",via="http"}`:    2,
			} {
				if metrics[series] != want {
					t.Errorf("%s is %v, want %v", series, metrics[series], want)
				}
			}
		})
	}
	if answer, err := redis.Command(t.Context(), "KEYS zonecast:*"); err != nil || answer != "" {
		t.Errorf("with another prefix there is the key %q, %v", answer, err)
	}
}
