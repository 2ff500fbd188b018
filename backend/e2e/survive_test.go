package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/history"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// What becomes of events that were answered with 200.
type fate string

const (
	kept fate = "kept" // all of them, in order, without a gap
	told fate = "told" // what is lost is within a gap
)

// A survival is a row of docs/promises.md: what a 200 survives.
type survival struct {
	name    string
	options stack.Options
	durable bool
	want    fate
	// unconfirmed says that durable publications are not answered with 200 here, but with 504.
	unconfirmed bool
	// before happens ahead of the publications; strike between the last 200 and the time when
	// somebody asks for what was published.
	before, strike func(t *testing.T, s *stack.Stack)
}

const valkey = "valkey-server" // knows WAITAOF, as Redis does from 7.2 on

// aof are arguments of redis-server.
func aof(fsync string) []string { return []string{"--appendfsync", fsync} }

func crash(t *testing.T, s *stack.Stack) {
	testkit.Must(t, s.Redis.Kill())
	testkit.Must(t, s.Redis.Start(t.Context()))
}

// cutReplicas stops the replicas and their connections, so that they get nothing more.
func cutReplicas(t *testing.T, s *stack.Stack) {
	for _, r := range s.Redises[1:] {
		pid := r.PID()
		testkit.Must(t, syscall.Kill(pid, syscall.SIGSTOP))
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	}
	_, err := s.Redises[0].Command(t.Context(), "CLIENT KILL TYPE replica")
	testkit.Must(t, err)
}

// replaceMaster kills the master for good, and lets the replicas go on.
func replaceMaster(t *testing.T, s *stack.Stack) {
	testkit.Must(t, s.Redises[0].Kill())
	for _, r := range s.Redises[1:] {
		_ = syscall.Kill(r.PID(), syscall.SIGCONT)
	}
	testkit.Succeeds(t, "another server is the master", func() error {
		if now, err := s.Master(t.Context()); err != nil || now == s.Redises[0] {
			return fmt.Errorf("%v, %v", now, err)
		}
		return nil
	})
	testkit.Must(t, s.Redises[0].Start(t.Context())) // as its replica, as Sentinel will tell it
}

// loseUnflushed makes of Redis what a power failure may leave: the file as it was when before was
// called, without what was written since.
func loseUnflushed() (before, strike func(*testing.T, *stack.Stack)) {
	var saved string
	before = func(t *testing.T, s *stack.Stack) {
		saved = filepath.Join(t.TempDir(), "flushed")
		testkit.Must(t, os.CopyFS(saved, os.DirFS(filepath.Join(s.Dir(), "redis", "appendonlydir"))))
	}
	strike = func(t *testing.T, s *stack.Stack) {
		dir := filepath.Join(s.Dir(), "redis", "appendonlydir")
		testkit.Must(t, s.Redis.Kill())
		testkit.Must(t, os.RemoveAll(dir))
		testkit.Must(t, os.CopyFS(dir, os.DirFS(saved)))
		testkit.Must(t, s.Redis.Start(t.Context()))
	}
	return before, strike
}

func survivals() []survival {
	redis := func(args ...string) stack.Options { return stack.Options{Redis: true, RedisArgs: args} }
	newer := func(args ...string) stack.Options {
		return stack.Options{Redis: true, RedisProgram: valkey, RedisArgs: args, Settings: map[string]string{"DURABLE_TIMEOUT": "20s"}}
	}
	replicated := stack.Options{Redis: true, Kind: stack.Watched, Settings: map[string]string{
		"DURABLE_DISK": "false", "DURABLE_REPLICAS": "2", "DURABLE_TIMEOUT": "20s"}}
	killInstance := func(t *testing.T, s *stack.Stack) {
		testkit.Must(t, s.Instances[0].Kill())
		testkit.Must(t, s.Instances[0].Start(t.Context()))
	}
	before, strike := loseUnflushed()
	return []survival{
		{name: "memory: the process is killed", want: told, strike: killInstance},
		{name: "memory: the process is restarted", want: told,
			strike: func(t *testing.T, s *stack.Stack) { testkit.Must(t, s.Instances[0].Restart(t.Context())) }},
		{name: "Redis: the instance is killed", options: redis(), want: kept, strike: killInstance},
		{name: "Redis, appendfsync always: Redis is killed", options: redis(aof("always")...), want: kept, strike: crash},
		{name: "Redis, appendfsync everysec: Redis is killed", options: redis(aof("everysec")...), want: kept, strike: crash},
		{name: "Redis, appendfsync no: Redis is killed", options: redis(aof("no")...), want: kept, strike: crash},
		{name: "Redis, appendonly no: Redis is killed", options: redis("--appendonly", "no"), want: told, strike: crash},
		{name: "Redis without replicas: an empty one takes its place", options: redis(), want: told, strike: func(t *testing.T, s *stack.Stack) {
			testkit.Must(t, s.Redis.Kill())
			testkit.Must(t, os.RemoveAll(filepath.Join(s.Dir(), "redis", "appendonlydir")))
			testkit.Must(t, s.Redis.Start(t.Context()))
		}},
		{name: "Redis, durable on disk: Redis is killed", options: newer(), durable: true, want: kept, strike: crash},
		{name: "Redis: power fails before the flush", options: redis(aof("no")...), want: told, before: before, strike: strike},
		{name: "Redis, durable on disk: the disk is not flushed", durable: true, unconfirmed: true, want: kept, strike: crash,
			options: stack.Options{Redis: true, RedisProgram: valkey, RedisArgs: aof("no"), Settings: map[string]string{"DURABLE_TIMEOUT": "300ms"}}},
		{name: "Redis, replicas that lag: failover", options: replicated, want: told, before: cutReplicas, strike: replaceMaster},
		{name: "Redis, durable on replicas: failover", options: replicated, durable: true, want: kept, strike: replaceMaster},
	}
}

// A 200 means what docs/promises.md says: what it does not keep is told as a gap, and is never a
// 200 when the publication was durable.
func TestWhatAnOKSurvives(t *testing.T) {
	for _, tt := range survivals() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := tt.options
			o.Binary, o.Instances = binary(), 1
			s := stacktest.Start(t, o)
			base, zone := s.Instances[0].URL, "survive"
			var saw history.Recorder
			member := observe(t, &saw, "member", zone, sockets(s, 0)...) // whom the events reach before anything happens
			first := send(t, base, zone, body(0))
			if o.Kind == stack.Watched {
				n := 0
				testkit.Succeeds(t, "both replicas follow", func() error {
					n-- // one that is not confirmed is accepted
					_, err := postDurable(base, zone, body(n))
					return err
				})
			}
			if tt.before != nil {
				tt.before(t, s)
			}
			for n := range 10 {
				at, err := wire.Offset{}, error(nil)
				if tt.durable {
					at, err = postDurable(base, zone, body(n+1))
				} else {
					at, err = post(base, zone, "", body(n+1))
				}
				var refused *notDurable
				switch {
				case tt.unconfirmed && errors.As(err, &refused):
					at, err = wire.ParseOffset(refused.Accepted.Offset)
				case tt.unconfirmed:
					t.Fatalf("a durable publication was answered with %s, %v; want 504 not_durable", at, err)
				}
				testkit.Must(t, err)
				if tt.unconfirmed && n == 1 {
					break // each waits for DURABLE_TIMEOUT
				}
				saw.Add(accepted(zone, n+1, "", at))
			}
			if tt.want == told {
				saw.Add(history.Record{Kind: history.Lost})
			}
			tt.strike(t, s)
			testkit.Succeeds(t, "events are accepted again", func() error {
				_, err := postWithin(t.Context(), 2*time.Second, base, zone, "after", body(99))
				return err
			})
			member.wantData(t, member.name, `{"n":99}`)
			back := &watcher{name: "who comes back", room: member.room, saw: &saw, addresses: sockets(s, 0), done: make(chan struct{}),
				subscribe: member.subscribe, last: first}
			back.running.Go(back.run)
			t.Cleanup(back.leave)
			back.wantData(t, back.name, `{"n":99}`)
			member.leave()
			back.leave()
			saw.Add(history.Record{Kind: history.Newest, Room: member.room, Offset: member.last.String()})
			keeps(t, saw.Records())
			if tt.want == told && len(back.gaps) == 0 {
				t.Error("who comes back was told no gap, want one")
			}
		})
	}
}

// notDurable is the answer to a durable publication that was accepted, and not confirmed.
type notDurable struct {
	Code     string
	Accepted wire.Position
}

func (n *notDurable) Error() string { return n.Code + " at " + n.Accepted.Offset }

// postDurable publishes with "durable":true.
func postDurable(base, zone, body string) (wire.Offset, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience+20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/warehouses/warehouse-1/zones/"+zone+"/broadcast",
		strings.NewReader(strings.Replace(body, "{", `{"durable":true,`, 1)))
	if err != nil {
		return wire.Offset{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return wire.Offset{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return wire.Offset{}, err
	}
	if response.StatusCode == http.StatusGatewayTimeout {
		refused := new(notDurable)
		if err := json.Unmarshal(text, refused); err != nil {
			return wire.Offset{}, err
		}
		return wire.Offset{}, refused
	}
	var position wire.Position
	if err := json.Unmarshal(text, &position); err != nil || response.StatusCode != http.StatusOK {
		return wire.Offset{}, fmt.Errorf("answered %s %s", response.Status, text)
	}
	return wire.ParseOffset(position.Offset)
}

// Each row of docs/promises.md that names a test of this file has one, with the same outcome, and
// each of those tests has its row.
func TestEachPromiseOfTheDocsHasItsTest(t *testing.T) {
	text, err := os.ReadFile(repository + "/docs/promises.md")
	testkit.Must(t, err)
	rows := map[string]string{} // what the row says by the name of the test
	for _, row := range regexp.MustCompile("(?m)^\\|.*\\| (\\*\\*)?(kept|told)(\\*\\*)?[^|]*\\| `([^`]+)` \\|$").FindAllStringSubmatch(string(text), -1) {
		rows[row[4]] = row[2]
	}
	for _, s := range survivals() {
		if got := rows[s.name]; got != string(s.want) {
			t.Errorf("docs/promises.md says %q of %q, want %q", got, s.name, s.want)
		}
		delete(rows, s.name)
	}
	for name := range rows {
		t.Errorf("docs/promises.md names the test %q, which does not exist", name)
	}
	// What else it names are tests of the repository.
	for _, name := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(text), -1) {
		if !isTest(t, name[1]) {
			t.Errorf("docs/promises.md names %s, which does not exist", name[1])
		}
	}
}

// isTest reports whether there is a test of this name in backend/.
func isTest(t *testing.T, name string) (found bool) {
	t.Helper()
	declaration := []byte("func " + name + "(t *testing.T)")
	testkit.Must(t, filepath.WalkDir(repository+"/backend", func(path string, _ os.DirEntry, err error) error {
		if err != nil || found || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		found = strings.Contains(string(text), string(declaration))
		return err
	}))
	return found
}
