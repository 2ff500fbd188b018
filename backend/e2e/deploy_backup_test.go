package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// What docs/scaling.md says of backup and restore can be done, as the users that the stack's Redis
// has: what was written after the backup is gone, what was there before is back, and the server
// keeps it.
func TestABackupIsRestoredAsDocumented(t *testing.T) {
	docs := readFile(t, "docs/scaling.md")
	_, backup, ok := strings.Cut(docs, "exec -T redis sh -c '")
	backup, _, ended := strings.Cut(backup, "'")
	if !ok || !ended {
		t.Fatal("docs/scaling.md does not say how to back up")
	}
	if !strings.Contains(docs, "restore.sh <zonecast.rdb") {
		t.Fatal("docs/scaling.md does not say how to restore")
	}
	folder := t.TempDir()
	server := startRedisOfTheStack(t, folder, "right")
	testkit.Must(t, server.as("zonecast", "right").Set(t.Context(), "k", "before", 0).Err())

	// As redis-cli reaches its own server in the container: by the default port, here by a socket.
	dump := exec.Command("sh", "-c", strings.Replace(backup, "redis-cli ", "redis-cli -s "+server.socket+" ", 1))
	dump.Env = append(os.Environ(), "REDIS_PASSWORD=right")
	var rdb, complaints bytes.Buffer
	dump.Stdout, dump.Stderr = &rdb, &complaints
	if err := dump.Run(); err != nil || !bytes.HasPrefix(rdb.Bytes(), []byte("REDIS")) {
		t.Fatalf("%s: %v %s", backup, err, &complaints)
	}
	testkit.Must(t, server.as("zonecast", "right").Set(t.Context(), "k", "after", 0).Err())
	server.stop()

	restore := func(from []byte) (string, error) {
		command := exec.Command("sh", filepath.Join(absolute(t, "deploy/redis/restore.sh")), folder)
		command.Stdin = bytes.NewReader(from)
		text, err := command.CombinedOutput()
		return string(text), err
	}
	if text, err := restore([]byte("nothing")); err == nil || !strings.Contains(text, "is no backup of Redis") {
		t.Errorf("what is no backup: %v %s", err, text)
	}
	if text, err := restore(rdb.Bytes()[:rdb.Len()/2]); err == nil || !strings.Contains(text, "can't load this backup") {
		t.Errorf("half a backup: %v %s", err, text)
	}
	if text, err := restore(rdb.Bytes()); err != nil || !strings.Contains(text, "what was there is in appendonlydir.") {
		t.Fatalf("%v %s", err, text)
	}
	for range 2 { // and so it stays
		server = startRedisOfTheStack(t, folder, "right")
		if got, err := server.as("zonecast", "right").Get(t.Context(), "k").Result(); err != nil || got != "before" {
			t.Errorf("restored %q, %v", got, err)
		}
		server.stop()
	}
}

// A stackRedis is Redis as the stack starts it.
type stackRedis struct {
	socket string
	as     func(user, password string) *redis.Client
	stop   func()
}
