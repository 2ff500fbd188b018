package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// The profile cluster of docker-compose.yml: three servers make a cluster by themselves that the
// instances can use, and again with what they had when all of their addresses have changed.
func TestRedisClusterOfTheStackSetsItselfUp(t *testing.T) {
	testkit.NeedProgram(t, "redis-server")
	const masters = 3
	var ports [2 * masters]int
	var held []net.Listener // all at once, so that they differ
	for n := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		testkit.Must(t, err)
		held, ports[n] = append(held, l), l.Addr().(*net.TCPAddr).Port
	}
	for _, l := range held {
		testkit.Must(t, l.Close())
	}
	var dirs [masters]string
	for n := range dirs {
		dirs[n] = t.TempDir()
	}
	// up starts all of them at addresses 127.0.0.first and so on, and returns what ends them.
	up := func(first int) (address string, down func()) {
		var names []string
		for n := range masters {
			names = append(names, fmt.Sprintf("127.0.0.%d:%d@%d", first+n, ports[n], ports[masters+n]))
		}
		var all []*exec.Cmd
		for n, dir := range dirs {
			command := exec.Command("sh", absolute(t, "deploy/redis/start.sh"), "--port", fmt.Sprint(ports[n]), "--cluster-port", fmt.Sprint(ports[masters+n]))
			command.Dir = dir
			command.Env = []string{"PATH=" + os.Getenv("PATH"), "REDIS_PASSWORD=right", "TMPDIR=" + dir, "REDIS_CONF=" + absolute(t, "deploy/redis/redis.conf"),
				"REDIS_CLUSTER=" + strings.Join(names, " "), fmt.Sprintf("REDIS_CLUSTER_NODE=%d", n+1)}
			testkit.Must(t, command.Start())
			all = append(all, command)
		}
		down = func() {
			for _, command := range all {
				_ = command.Process.Signal(syscall.SIGTERM)
				_ = command.Wait()
			}
		}
		t.Cleanup(down)
		for n := range masters {
			probe := redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.%d:%d", first+n, ports[n]), Username: "probe", Password: "none", Protocol: 2, MaxRetries: -1})
			t.Cleanup(func() { probe.Close() })
			testkit.Succeeds(t, "the cluster works", func() error {
				info, err := probe.ClusterInfo(t.Context()).Result()
				if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3")) {
					err = fmt.Errorf("%s", info)
				}
				return err
			})
		}
		return fmt.Sprintf("127.0.0.%d:%d", first, ports[0]), down
	}
	// keys are of all three servers' slots.
	keys := func(address string, do func(c *redis.ClusterClient, key string) error) {
		t.Helper()
		c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{address}, Username: "zonecast", Password: "right", Protocol: 2})
		defer c.Close()
		for n := range 30 {
			testkit.Must(t, do(c, fmt.Sprint("key-", n)))
		}
	}
	publish := func(address string) {
		s := stacktest.Start(t, stack.Options{Root: repository, Binary: binary(), Instances: 1,
			Settings: map[string]string{"REDIS_URL": "redis://zonecast@" + address, "REDIS_PASSWORD": "right", "NODE_NAME": address}})
		_, err := postThrough(context.Background(), http.DefaultClient, s.Instances[0].URL, "cluster", "", body(1))
		testkit.Must(t, err)
	}
	address, down := up(2)
	publish(address)
	keys(address, func(c *redis.ClusterClient, key string) error { return c.Set(t.Context(), key, key, 0).Err() })
	down()
	address, _ = up(5)
	publish(address)
	keys(address, func(c *redis.ClusterClient, key string) error {
		got, err := c.Get(t.Context(), key).Result()
		if err == nil && got != key {
			err = fmt.Errorf("%s is %q after all addresses have changed", key, got)
		}
		return err
	})
}

// absolute is the path of a file of the repository from wherever a program runs.
func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(repository, name))
	testkit.Must(t, err)
	return path
}
