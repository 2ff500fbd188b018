package e2e_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// The secrets of make up are made once, differ, are long, and nobody else can read them. What is
// there stays as it is, and the environment counts.
func TestSecretsAreGeneratedOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".env")
	testkit.Must(t, os.WriteFile(file, []byte("HTTP_PORT=8081\nOPERATOR_PASSWORD=mine"), 0o600))
	generate := func(env ...string) string {
		t.Helper()
		command := exec.Command("bash", filepath.Join(repository, "deploy", "secrets.sh"), file)
		command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		text, err := os.ReadFile(file)
		testkit.Must(t, err)
		return string(text)
	}
	first := generate("PUBLISH_KEYS=of-the-environment")
	if !strings.HasPrefix(first, "HTTP_PORT=8081\nOPERATOR_PASSWORD=mine\n") || strings.Contains(first, "PUBLISH_KEYS") {
		t.Errorf("what was there changed, or what the environment has was made: %s", first)
	}
	made := regexp.MustCompile(`(?m)^(AUTH_TOKEN_SECRET|CLUSTER_SECRET|REDIS_PASSWORD)=([0-9a-f]{64})$`).FindAllStringSubmatch(first, -1)
	if len(made) != 3 || made[0][2] == made[1][2] || made[1][2] == made[2][2] {
		t.Errorf("made %v", made)
	}
	second := generate()
	if !strings.HasPrefix(second, first) || strings.Count(second, "=") != strings.Count(first, "=")+1 || generate() != second {
		t.Errorf("made anew: %s", second)
	}
	testkit.Must(t, os.Remove(file))
	generate()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read %v, %v", info.Mode(), err)
	}
	if !strings.Contains(readFile(t, ".gitignore"), "\n.env\n") || !readIgnoreRules(t).keepOut(".env") {
		t.Error(".env is not kept out of git and images")
	}
}

// Redis of the stack lets in the instances, with their password, to do what they need and no more.
func TestRedisOfTheStackAsksForThePassword(t *testing.T) {
	testkit.NeedProgram(t, "redis-server")
	as, unasked := redisOfTheStack(t, "right"), redisOfTheStack(t, "")
	zonecast, probe, exporter, anybody := as("zonecast", "right"), as("probe", "any"), as("exporter", "none"), unasked("zonecast", "")
	for _, tt := range []struct {
		what string
		err  error
		ok   bool
	}{
		{"the instances publish", zonecast.Eval(t.Context(), "redis.call('HSET', KEYS[1], 'a', 1) return redis.call('PUBLISH', 'c', 'm')", []string{"k"}).Err(), true},
		{"the instances ask what it is", zonecast.Info(t.Context()).Err(), true},
		{"the instances publish within a shard", zonecast.SPublish(t.Context(), "c", "m").Err(), true},
		{"the instances configure it", zonecast.ConfigGet(t.Context(), "*").Err(), false},
		{"the instances empty it", zonecast.FlushAll(t.Context()).Err(), false},
		{"the instances list all keys", zonecast.Keys(t.Context(), "*").Err(), false},
		{"the instances change users", zonecast.Do(t.Context(), "ACL", "LIST").Err(), false},
		{"the backup reads", as("backup", "right").HGet(t.Context(), "k", "a").Err(), false},
		{"a backup without the password", as("backup", "none").Ping(t.Context()).Err(), false},
		{"the probe reads", probe.HGet(t.Context(), "k", "a").Err(), false},
		{"the exporter asks for figures", exporter.Info(t.Context()).Err(), true},
		{"the exporter reads", exporter.HGet(t.Context(), "k", "a").Err(), false},
		{"the exporter sees what others do", exporter.Do(t.Context(), "SLOWLOG", "GET").Err(), false},
		{"nobody pings", as("", "").Ping(t.Context()).Err(), false},
		{"a wrong password pings", as("zonecast", "wrong").Ping(t.Context()).Err(), false},
		{"the default user pings", as("default", "right").Ping(t.Context()).Err(), false},
		{"without a password the instances publish", anybody.Eval(t.Context(), "return redis.call('PUBLISH', 'c', 'm')", []string{"k"}).Err(), true},
		{"without a password anybody configures it", anybody.ConfigGet(t.Context(), "*").Err(), false},
		{"without a password the exporter asks for figures", unasked("exporter", "none").Info(t.Context()).Err(), true},
	} {
		if (tt.err == nil) != tt.ok {
			t.Errorf("%s: %v, want it permitted: %v", tt.what, tt.err, tt.ok)
		}
	}
}

// redisOfTheStack starts Redis as the stack does, and returns who logs in there.
func redisOfTheStack(t *testing.T, password string) (as func(user, password string) *redis.Client) {
	t.Helper()
	return startRedisOfTheStack(t, t.TempDir(), password).as
}

// startRedisOfTheStack starts Redis as the stack does, with its data in a folder.
func startRedisOfTheStack(t *testing.T, folder, password string) stackRedis {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	command := exec.Command("sh", absolute(t, "deploy/redis/start.sh"), "--port", "0", "--unixsocket", socket, "--dir", folder)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "REDIS_PASSWORD=" + password, "TMPDIR=" + t.TempDir(),
		"REDIS_CONF=" + absolute(t, "deploy/redis/redis.conf")}
	testkit.Must(t, command.Start())
	stop := sync.OnceFunc(func() { _ = command.Process.Signal(syscall.SIGTERM); _ = command.Wait() })
	t.Cleanup(stop)
	as := func(user, password string) *redis.Client {
		c := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, Username: user, Password: password, Protocol: 2, MaxRetries: -1})
		t.Cleanup(func() { c.Close() })
		return c
	}
	testkit.Succeeds(t, "Redis is there", func() error { return as("probe", "any").Ping(t.Context()).Err() })
	return stackRedis{socket, as, stop}
}

// Each module and each package of the repository is looked at for weaknesses, and has a list of
// what it is made of: tools, comparisons and tests run on somebody's machine, too.
func TestEveryModuleAndPackageIsLookedAt(t *testing.T) {
	stubs, calls := t.TempDir(), filepath.Join(t.TempDir(), "calls")
	for _, program := range []string{"go", "npm"} {
		script := "#!/bin/sh\necho \"$PWD $*\" >>'" + calls + "'\n"
		testkit.Must(t, os.WriteFile(filepath.Join(stubs, program), []byte(script), 0o755))
	}
	for _, script := range [][]string{{"deploy/vuln.sh"}, {"deploy/sbom.sh", t.TempDir()}} {
		testkit.Must(t, os.WriteFile(calls, nil, 0o600))
		command := exec.Command("bash", script...)
		command.Dir, command.Env = repository, append(os.Environ(), "PATH="+stubs+":"+os.Getenv("PATH"))
		if text, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", script[0], err, text)
		}
		text, err := os.ReadFile(calls)
		testkit.Must(t, err)
		testkit.Must(t, filepath.WalkDir(repository, func(path string, entry fs.DirEntry, err error) error {
			switch name := entry.Name(); {
			case err != nil:
				return err
			case entry.IsDir() && (name == "node_modules" || name == "bin" || name == ".git"):
				return fs.SkipDir
			case name != "go.mod" && name != "package-lock.json":
				return nil
			}
			folder, err := filepath.Rel(repository, filepath.Dir(path))
			if err == nil && !regexp.MustCompile(`(?m)(/| )`+regexp.QuoteMeta(folder)+` `).Match(text) {
				t.Errorf("%s leaves out %s", script[0], folder)
			}
			return err
		}))
	}
}

// Each test that docs/security.md names for a threat is there.
func TestThreatsNameTestsThatExist(t *testing.T) {
	var sources strings.Builder
	for _, folder := range []string{"backend", "deploy/tools"} {
		testkit.Must(t, filepath.WalkDir(filepath.Join(repository, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			p, err := os.ReadFile(path)
			sources.Write(p)
			return err
		}))
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`").FindAllStringSubmatch(readFile(t, "docs/security.md"), -1)
	if len(named) < 40 {
		t.Fatalf("only %d tests are named", len(named))
	}
	for _, name := range named {
		if !strings.Contains(sources.String(), "func "+name[1]+"(") {
			t.Errorf("docs/security.md names %s, which does not exist", name[1])
		}
	}
}
