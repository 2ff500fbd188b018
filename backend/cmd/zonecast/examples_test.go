package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// The examples of docs/publishing.md publish once, however often they are run, and say what a server
// that refuses says. Those of languages that are not on this machine are left out.
func TestExamplesPublish(t *testing.T) {
	const key = "the-key-of-these-examples"
	s := serving(t, "--publish-keys="+key)
	testkit.NeedProgram(t, "curl", "python3")
	folder := filepath.Join("..", "..", "..", "docs", "examples")
	for _, words := range [][]string{{"sh", "publish.sh"}, {"python3", "publish.py"}, {"java", "Publish.java"}, {"php", "publish.php"}} {
		if _, err := exec.LookPath(words[0]); err != nil {
			t.Logf("%s is not run: %v", words[1], err)
			continue
		}
		publish := func(key string) (string, error) {
			command := exec.Command(words[0], words[1:]...)
			command.Dir = folder
			command.Env = append(os.Environ(), "ZONECAST_URL="+s.url(), "PUBLISH_KEY="+key, "EVENT_ID="+words[1])
			output, err := command.CombinedOutput()
			return string(output), err
		}
		var first, second struct{ Room, Offset string }
		output, err := publish(key)
		if json.Unmarshal([]byte(output), &first) != nil || err != nil || first.Room != "zone:warehouse-1:zone-a" {
			t.Errorf("%s prints %s, %v", words[1], output, err)
		}
		if output, err = publish(key); json.Unmarshal([]byte(output), &second) != nil || second != first {
			t.Errorf("%s prints %s the second time, %v; want %v again", words[1], output, err, first)
		}
		if output, err = publish("another-key-than-that"); err == nil || !strings.Contains(output, `"status":401`) {
			t.Errorf("%s with a wrong key prints %s, %v", words[1], output, err)
		}
	}
}
