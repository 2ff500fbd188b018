package program

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAProgramIsFoundInPath(t *testing.T) {
	folder := t.TempDir()
	want := filepath.Join(folder, "redis-server")
	if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder)
	got, err := Find("redis-server")
	if err != nil || got != want {
		t.Errorf("Find is %q, %v; want %q", got, err, want)
	}
}

func TestAMissingProgramSaysWhatToInstall(t *testing.T) {
	folders := systemFolders
	systemFolders = []string{t.TempDir()}
	t.Cleanup(func() { systemFolders = folders })
	t.Setenv("PATH", t.TempDir())
	tests := []struct{ give, want string }{
		{"redis-server", "install it with apt-get install redis-server"},
		{"nginx", "install it with apt-get install nginx"},
		{"prometheus", "install it with apt-get install prometheus"},
		{"promtool", "install it with apt-get install prometheus"},
		{"unheard-of", "unheard-of not found in PATH or"},
	}
	for _, tt := range tests {
		if _, err := Find(tt.give); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Find(%q) says %v, want it to contain %q", tt.give, err, tt.want)
		}
	}
}
