package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

var tokenSecret = strings.Repeat("x", auth.MinSecretBytes)

const operatorPassword = "a long password of operators"

func tokenFor(t *testing.T, user string) string {
	t.Helper()
	now := time.Now()
	token, err := auth.Sign([]byte(tokenSecret), map[string]any{"sub": user, "iat": now.Unix() - 10, "exp": now.Add(time.Hour).Unix(),
		"warehouses": []string{"w"}, "publish": true})
	testkit.Must(t, err)
	return token
}

// operate sends a request as an operator, and decodes the answer.
func (s *server) operate(t *testing.T, method, path, body string) (status int, answer map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url()+path, strings.NewReader(body))
	testkit.Must(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth(operator.DefaultName, operatorPassword)
	response, err := http.DefaultClient.Do(r)
	testkit.Must(t, err)
	defer response.Body.Close()
	testkit.Must(t, json.NewDecoder(response.Body).Decode(&answer))
	return response.StatusCode, answer
}

// connectWith opens a WebSocket connection, and returns what it is told first.
func (s *server) connectWith(t *testing.T, token string) (*websocket.Conn, wire.ServerFrame) {
	t.Helper()
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/ws?warehouse=w&token="+token, nil)
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close() })
	_, p, err := c.ReadMessage()
	testkit.Must(t, err)
	f, err := wire.DecodeServer(p)
	testkit.Must(t, err)
	return c, f
}

// awaitCluster waits until an instance knows so many.
func awaitCluster(t *testing.T, s *server, nodes int) {
	t.Helper()
	testkit.Eventually(t, "the instances know one another", func() bool {
		v := s.cluster.View()
		return len(v.Nodes) == nodes && v.Incomplete == ""
	})
}

// closed waits for the end of a connection.
func closed(c *websocket.Conn) (err error) {
	for err == nil {
		_, _, err = c.ReadMessage()
	}
	return err
}

// A user who was revoked is out at once, everywhere, and stays out: with the same token, at an
// instance that starts later too, until the revocation is lifted.
func TestARevokedUserIsOutEverywhereAndStaysOut(t *testing.T) {
	flags := []string{"--auth-token-secret=" + tokenSecret, "--operator-password=" + operatorPassword}
	check := func(t *testing.T, instances []*server, later func() *server) {
		token, other := tokenFor(t, "anna"), tokenFor(t, "bert")
		var revoked, staying []*websocket.Conn
		for _, s := range instances {
			c, _ := s.connectWith(t, token)
			revoked = append(revoked, c)
			c, _ = s.connectWith(t, other)
			staying = append(staying, c)
		}
		awaitCluster(t, instances[0], len(instances))
		status, answer := instances[0].operate(t, http.MethodPost, "/api/v1/revocations", `{"user":"anna","reason":"left the company"}`)
		if status != http.StatusOK || answer["disconnected"] != float64(len(instances)) || answer["complete"] != true || answer["until"] == nil {
			t.Errorf("answered %d %v", status, answer)
		}
		for _, c := range revoked {
			if err := closed(c); !websocket.IsCloseError(err, int(wire.CloseUnauthenticated)) {
				t.Errorf("closed with %v, want 4401", err)
			}
		}
		instances = append(instances, later())
		for _, s := range instances {
			if _, f := s.connectWith(t, token); f.Event != wire.EventError {
				t.Errorf("%s: back with the same token: %s %s", s.config.NodeName, f.Event, f.Data)
			}
			_, list := s.operate(t, http.MethodGet, "/api/v1/revocations", "")
			if p, _ := json.Marshal(list); !strings.Contains(string(p), `"reason":"left the company"`) {
				t.Errorf("%s lists %s", s.config.NodeName, p)
			}
		}
		for _, c := range staying {
			testkit.Must(t, c.WriteMessage(websocket.TextMessage, []byte(`{"event":"echo","id":1}`)))
			if _, _, err := c.ReadMessage(); err != nil {
				t.Errorf("another user: %v", err)
			}
		}
		path := fmt.Sprint("/api/v1/revocations/", answer["id"])
		if status, answer := instances[len(instances)-1].operate(t, http.MethodDelete, path, ""); status != http.StatusOK {
			t.Errorf("lifting it: %d %v", status, answer)
		}
		for _, s := range instances {
			testkit.Eventually(t, "anna may come back", func() bool {
				_, f := s.connectWith(t, token)
				return f.Event == wire.EventConnected
			})
		}
		if status, _ := instances[0].operate(t, http.MethodDelete, path, ""); status != http.StatusNotFound {
			t.Errorf("lifting it again: %d", status)
		}
	}
	t.Run("one instance", func(t *testing.T) {
		s := serving(t, flags...)
		check(t, []*server{s}, func() *server { return s })
	})
	t.Run("several instances", func(t *testing.T) {
		url := stacktest.Redis(t, stack.Single).Redis.URL
		start := func() *server { return serving(t, append([]string{"--redis-url=" + url}, flags...)...) }
		check(t, []*server{start(), start()}, start)
	})
	t.Run("Redis is out of memory", func(t *testing.T) {
		redis := stacktest.Redis(t, stack.Single).Redis
		start := func() *server { return serving(t, append([]string{"--redis-url=" + redis.URL}, flags...)...) }
		instances := []*server{start(), start()}
		_, err := redis.Command(t.Context(), "CONFIG SET maxmemory 1")
		testkit.Must(t, err)
		check(t, instances, start)
	})
}

func TestRevokingIsForOperators(t *testing.T) {
	s := serving(t, "--auth-token-secret="+tokenSecret, "--operator-password="+operatorPassword)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if answer, _ := s.ask(t, method, "/api/v1/revocations", `{"user":"u"}`); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s by a stranger: %s", method, answer.Status)
		}
	}
	if answer, _ := s.ask(t, http.MethodDelete, "/api/v1/revocations/r-1"); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("DELETE by a stranger: %s", answer.Status)
	}
	for body, want := range map[string]string{``: "empty", `{}`: "revoke nothing", `{"users":"u"}`: "no field", `{"user":5}`: "must be a string",
		`{"issuedBefore":1700000000}`: "not seconds"} {
		status, answer := s.operate(t, http.MethodPost, "/api/v1/revocations", body)
		if status != http.StatusBadRequest || !strings.Contains(fmt.Sprint(answer["detail"]), want) {
			t.Errorf("%s: %d %v, want 400 with %q", body, status, answer, want)
		}
	}
}

// tool runs the program with these arguments.
func tool(args ...string) (code int, stdout, stderr string) {
	var out, mistakes bytes.Buffer
	code = run(args, &out, &mistakes)
	return code, strings.TrimSpace(out.String()), mistakes.String()
}
