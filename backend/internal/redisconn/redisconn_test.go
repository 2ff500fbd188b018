package redisconn_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/redisconn"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// listen returns the address of a server that says nothing, or hangs up at once.
func listen(t *testing.T, hangUp bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			if hangUp {
				conn.Close()
			}
		}
	}()
	return l.Addr().String()
}

// Whatever can't be used is refused with what to change, and without the password.
func TestFindSaysWhatIsWrong(t *testing.T) {
	single, secured, watched, clustered := stacktest.Redis(t, stack.Single), stacktest.Redis(t, stack.Secured),
		stacktest.Redis(t, stack.Watched), stacktest.Redis(t, stack.Clustered)
	replica := watched.Redises[1].URL
	empty := filepath.Join(t.TempDir(), "empty.pem")
	testkit.Must(t, os.WriteFile(empty, nil, 0o600))
	_, err := single.Redis.Command(t.Context(), "CONFIG SET requirepass hunter2")
	testkit.Must(t, err)
	tls := strings.Split(secured.RedisURL, "@")
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	silent, hasty := listen(t, false), listen(t, true)
	for _, c := range []struct {
		name string
		give redisconn.Options
		want string
	}{
		{"no scheme", redisconn.Options{URL: "127.0.0.1:6379"}, "write for example redis://"},
		{"another scheme", redisconn.Options{URL: "http://127.0.0.1:6379"}, "write for example redis://"},
		{"bad database", redisconn.Options{URL: "redis://127.0.0.1:6379/first"}, "write for example redis://"},
		{"an option that nobody knows", redisconn.Options{URL: "redis://127.0.0.1:6379/0?colour=red"}, "colour"},
		{"nobody there", redisconn.Options{URL: "redis://127.0.0.1:1/0"}, "127.0.0.1:1: connect: connection refused: nothing listens there"},
		{"nobody there, with TLS", redisconn.Options{URL: "rediss://127.0.0.1:1/0"}, "nothing listens there"},
		{"a host that nobody knows", redisconn.Options{URL: "redis://nowhere.invalid:6379/0"}, "the host of the URL is misspelled"},
		{"a web server", redisconn.Options{URL: "redis://" + web.Listener.Addr().String()}, "what answers there is not Redis"},
		{"one that wants TLS", redisconn.Options{URL: "redis://" + tls[1]}, "wants TLS (rediss://)"},
		{"one that hangs up", redisconn.Options{URL: "redis://" + hasty}, "what answers there is not Redis"},
		{"one that is silent", redisconn.Options{URL: "redis://" + silent}, "no answer within 3s"},
		{"password in a URL that is none", redisconn.Options{URL: "redis://user:hunter2@127.0.0.1:port/0"}, "write for example redis://"},
		{"no password", redisconn.Options{URL: single.RedisURL}, "write the password into the URL"},
		{"wrong password", redisconn.Options{URL: strings.Replace(single.RedisURL, "//", "//:hunter3@", 1)}, "password of the URL is wrong"},
		{"a replica", redisconn.Options{URL: replica}, "this is a read-only replica"},
		{"a Sentinel", redisconn.Options{URL: watched.Sentinels[0].URL}, "add ?master_name="},
		{"Sentinels of another master", redisconn.Options{URL: strings.Replace(watched.RedisURL, "=zonecast", "=other", 1)}, "other"},
		{"a database of a cluster", redisconn.Options{URL: strings.TrimSuffix(clustered.RedisURL, "0") + "1"}, "a Redis Cluster has no databases"},
		{"several that are no cluster", redisconn.Options{URL: watched.Redis.URL + "?addr=" + watched.Redises[1].Address}, "cluster"},
		{"TLS to one without", redisconn.Options{URL: strings.Replace(clustered.RedisURL, "redis:", "rediss:", 1)}, "does the server speak it"},
		{"a certificate that nobody trusts", redisconn.Options{URL: secured.RedisURL}, "certificate"},
		{"no certificate of ours", redisconn.Options{URL: secured.RedisURL, CAFile: secured.RedisCAFile}, "REDIS_CERT_FILE"},
		{"certificates without TLS", redisconn.Options{URL: "redis://" + tls[1], CAFile: secured.RedisCAFile}, "write it as rediss://"},
		{"no file", redisconn.Options{URL: secured.RedisURL, CAFile: filepath.Join(t.TempDir(), "none.pem")}, "none.pem"},
		{"nothing in the file", redisconn.Options{URL: secured.RedisURL, CAFile: empty}, "no certificate in PEM form"},
		{"a key without its certificate", redisconn.Options{URL: secured.RedisURL, KeyFile: secured.RedisKeyFile}, "REDIS_CERT_FILE, REDIS_KEY_FILE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := redisconn.Find(t.Context(), c.give)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter") {
				t.Errorf("the error %q holds the password", err)
			}
		})
	}
}

// A server that may not be asked what it is can be used all the same.
func TestFindWithoutTheRightToAsk(t *testing.T) {
	s := stacktest.Redis(t, stack.Single)
	_, err := s.Redis.Command(t.Context(), "ACL SETUSER narrow on >secret ~* &* +@all -info")
	testkit.Must(t, err)
	target, err := redisconn.Find(t.Context(), redisconn.Options{URL: strings.Replace(s.RedisURL, "//", "//narrow:secret@", 1)})
	if err != nil || target.Clustered() || !target.Sharded {
		t.Errorf("got %+v, %v", target, err)
	}
}
