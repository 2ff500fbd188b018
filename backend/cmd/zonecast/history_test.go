package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// check-history tells which promise a recorded history breaks, and where; exit code 1 for a broken
// one, 2 for what can't be read.
func TestCheckHistory(t *testing.T) {
	joined := `{"kind":"join","who":"c","room":"warehouse:w","offset":"e-0"}` + "\n"
	for _, test := range []struct {
		give string
		code int
		want string
	}{
		{joined + `{"kind":"event","who":"c","room":"warehouse:w","offset":"e-1"}`, 0, "2 records keep every promise"},
		{joined + `{"kind":"event","who":"c","room":"warehouse:w","offset":"e-2"}`, 1, "silent hole: c received e-2 of warehouse:w after e-0"},
		{"hello", 2, "line 1 is not a record"},
	} {
		file := filepath.Join(t.TempDir(), "history.jsonl")
		testkit.Must(t, os.WriteFile(file, []byte(test.give), 0o600))
		var out bytes.Buffer
		if code := run([]string{"check-history", file}, &out, &out); code != test.code || !strings.Contains(out.String(), test.want) {
			t.Errorf("%q: exit code %d, %s; want %d, %s", test.give, code, out.String(), test.code, test.want)
		}
	}
}
