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

// The examples of docs/publishing.md publish once, however often they are run, and say what a
// server that refuses says. Those of languages that are not on this machine are left out.
func TestExamplesPublish(t *testing.T) {
	t.Parallel() // other languages take their time
	const key = "the-key-of-these-examples"
	s := serving(t, "--publish-keys="+key)
	testkit.NeedProgram(t, "curl", "python3")
	folder := filepath.Join("..", "..", "..", "docs", "examples")
	classes := t.TempDir()
	program := filepath.Join(classes, "publish.exe")
	for _, example := range []struct {
		file         string
		compile, run []string
	}{
		{"publish.sh", nil, []string{"sh", "publish.sh"}},
		{"publish.py", nil, []string{"python3", "publish.py"}},
		{"Publish.java", []string{"javac", "-d", classes, "Publish.java"}, []string{"java", "-cp", classes, "Publish"}},
		{"publish.php", nil, []string{"php", "publish.php"}},
		{"Publish.cs", []string{"mcs", "-r:System.Net.Http", "-out:" + program, "Publish.cs"}, []string{"mono", program}},
	} {
		needs := example.run[:1]
		if example.compile != nil {
			needs = example.compile[:1] // what runs it comes with that
		}
		if _, err := exec.LookPath(needs[0]); err != nil {
			t.Logf("%s is not run: %v", example.file, err)
			continue
		}
		if example.compile != nil {
			command := exec.Command(example.compile[0], example.compile[1:]...)
			command.Dir = folder
			if output, err := command.CombinedOutput(); err != nil {
				t.Errorf("%s does not compile: %v\n%s", example.file, err, output)
				continue
			}
		}
		publish := func(key string) (string, error) {
			command := exec.Command(example.run[0], example.run[1:]...)
			command.Dir = folder
			command.Env = append(os.Environ(), "ZONECAST_URL="+s.url(), "PUBLISH_KEY="+key, "EVENT_ID="+example.file)
			output, err := command.CombinedOutput()
			return string(output), err
		}
		var first, second struct{ Room, Offset string }
		output, err := publish(key)
		if json.Unmarshal([]byte(output), &first) != nil || err != nil || first.Room != "zone:warehouse-1:zone-a" {
			t.Errorf("%s prints %s, %v", example.file, output, err)
		}
		if output, err = publish(key); json.Unmarshal([]byte(output), &second) != nil || second != first {
			t.Errorf("%s prints %s the second time, %v; want %v again", example.file, output, err, first)
		}
		if output, err = publish("another-key-than-that"); err == nil || !strings.Contains(output, `"status":401`) {
			t.Errorf("%s with a wrong key prints %s, %v", example.file, output, err)
		}
	}
}
