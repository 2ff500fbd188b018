package main

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// No secret, neither a setting nor what a client sends, right or wrong, in whatever way, is in the
// log, not at its most talkative either, nor in anything that the server answers.
func TestSecretsAreNeitherLoggedNorAnswered(t *testing.T) {
	redis := stacktest.Redis(t, stack.Secured)
	address, err := url.Parse(redis.RedisURL)
	testkit.Must(t, err)
	redisPassword, _ := address.User.Password()
	secret := func(name string) string { return "hush-" + name + "-0123456789abcdef0123456789" }
	settings := map[string]string{
		"AUTH_TOKEN_SECRET": secret("token"), "AUTH_TOKEN_SECRETS": secret("another-token"), "PUBLISH_KEYS": secret("key"),
		"OPERATOR_PASSWORD": secret("password"), "CLUSTER_SECRET": secret("cluster"), "SESSION_SECRET": secret("session"),
		"ACKNOWLEDGE_PINS": "Anna:" + secret("pin"), "OIDC_CLIENT_SECRET": secret("oidc"),
	}
	secrets := map[string]string{"REDIS_URL": redisPassword}
	lines := []string{"LOG_LEVEL=debug", "REDIS_URL=" + redis.RedisURL, "REDIS_CA_FILE=" + redis.RedisCAFile, "REDIS_CERT_FILE=" + redis.RedisCertFile,
		"REDIS_KEY_FILE=" + redis.RedisKeyFile, "OIDC_ISSUER=http://127.0.0.1:1", "OIDC_CLIENT_ID=zonecast", "OIDC_ROLES=ops=admin"}
	for name, value := range settings {
		lines = append(lines, name+"="+value)
		secrets[name] = strings.TrimPrefix(value, "Anna:")
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	testkit.Must(t, err)
	stderr := os.Stderr
	os.Stderr = log
	t.Cleanup(func() {
		os.Stderr = stderr
		log.Close()
	})
	s := serving(t, "--settings-file="+newSettingsFile(t, lines...).path)

	sign := func(key string) string {
		claims := jwt.MapClaims{"sub": "anna", "warehouses": []string{"w"}, "publish": true, "retain": true, "exp": time.Now().Add(time.Hour).Unix()}
		token, err := auth.Sign([]byte(key), claims)
		testkit.Must(t, err)
		return token
	}
	signature := func(token string) string { return token[strings.LastIndex(token, ".")+1:] }
	good, bad := sign(secret("token")), sign(secret("nobody's"))
	secrets["a good token"], secrets["a bad token"] = signature(good), signature(bad)
	wrong := map[string]string{"key": secret("wrong-key"), "PIN": secret("wrong-pin"), "password": secret("wrong-password")}
	for name, value := range wrong {
		secrets["a wrong "+name] = value
	}
	secrets["a login"] = base64.StdEncoding.EncodeToString([]byte("operator:" + secret("password")))

	answers := map[string]string{}
	send := func(method, path, body string, header ...string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), method, s.url()+path, strings.NewReader(body))
		testkit.Must(t, err)
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		testkit.Must(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
		testkit.Must(t, err)
		answers[method+" "+strings.SplitN(path, "?", 2)[0]] += string(text)
		return answer
	}
	for _, given := range []string{good, bad, secret("key"), wrong["key"]} {
		bearer := []string{"Authorization", "Bearer " + given}
		for _, way := range [][2]string{{"", bearer[1]}, {"&token=" + given}} {
			send(http.MethodGet, "/poll?warehouse=w&wait=0"+way[0], "", bearer[0], way[1])
			send(http.MethodGet, "/api/v1/warehouses/w/alerts?a=b"+way[0], "", bearer[0], way[1])
			send(http.MethodPost, "/poll?a=b"+way[0], `{"event":"publish","id":1,"data":{"warehouse":"w","event":"E"}}`, bearer[0], way[1])
			send(http.MethodPost, "/sse?a=b"+way[0], `{"event":"authenticate","id":1,"data":{"token":"`+given+`"}}`, bearer[0], way[1])
		}
		send(http.MethodPost, "/api/v1/warehouses/w/broadcast", `{"event":"E","data":1}`, bearer...)
		send(http.MethodPost, "/api/v1/broadcast", `{"messages":[{"warehouse":"w","event":"E"}]}`, bearer...)
		send(http.MethodDelete, "/api/v1/warehouses/w/retained/E", "", bearer...)
		for _, connect := range []struct {
			protocols []string
			query     string
			header    http.Header
		}{{[]string{auth.Subprotocol, given}, "", nil}, {nil, "&token=" + given, nil}, {nil, "", http.Header{"Authorization": {"Bearer " + given}}}} {
			dialer := websocket.Dialer{Subprotocols: connect.protocols}
			c, _, err := dialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/ws?warehouse=w"+connect.query, connect.header)
			testkit.Must(t, err)
			testkit.Must(t, c.WriteMessage(websocket.TextMessage, []byte(`{"event":"authenticate","id":1,"data":{"token":"`+bad+`"}}`)))
			for range 2 {
				_, text, err := c.ReadMessage()
				answers["/ws"] += string(text)
				if err != nil {
					answers["/ws"] += err.Error()
					break
				}
			}
			c.Close()
		}
	}
	for _, pin := range []string{secret("pin"), wrong["PIN"]} {
		send(http.MethodPost, "/api/v1/warehouses/w/alerts/acknowledge", `{"id":"x"}`, "Zonecast-Pin", pin)
	}
	form := func(password string) *http.Response {
		return send(http.MethodPost, "/ui/login", url.Values{"name": {"operator"}, "password": {password}}.Encode(),
			"Content-Type", "application/x-www-form-urlencoded")
	}
	form(wrong["password"])
	secrets["a session"] = cookieOf(t, form(secret("password"))).Value
	send(http.MethodGet, "/ui/login/oidc", "")
	basic := func(password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("operator:"+password))
	}
	for _, login := range []string{basic(wrong["password"]), basic(secret("password"))} {
		for _, path := range []string{"/metrics", "/readyz", "/health/websocket/metrics?rooms=all", "/ui/", "/ui/audit", "/screen/", "/screen/w/a", "/nothing",
			"/api/v1/connections", "/api/v1/revocations", "/api/v1/audit", "/debug/pprof/cmdline"} {
			send(http.MethodGet, path, "", "Authorization", login)
		}
	}

	text, err := os.ReadFile(log.Name())
	testkit.Must(t, err)
	answers["the log"] = string(text)
	if !strings.Contains(string(text), "level=DEBUG") || !strings.Contains(answers["GET /api/v1/audit"], "publish") {
		t.Errorf("nothing is logged that could tell: %s", text)
	}
	for where, text := range answers {
		for what, secret := range secrets {
			if secret == "" || strings.Contains(text, secret) {
				t.Errorf("%s is in %s (%d bytes)", what, where, len(text))
			}
		}
	}
}
