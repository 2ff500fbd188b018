//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestBadSettings(t *testing.T) {
	for _, tt := range []struct {
		name string
		give []string
		want string
	}{
		{"no such server", []string{"--only", "nginx"}, "--only must be one of"},
		{"one number", []string{"--connections", "1000"}, "give two numbers"},
		{"no connections", []string{"--connections", "0,10"}, "give two numbers"},
		{"no such scenario", []string{"--scenarios", "storm"}, `no scenario "storm": there are idle-few, idle-many, steady-many`},
		{"no rounds", []string{"--rounds", "0"}, "give at least 1"},
		{"no baseline", []string{"--only", "zonecast,baseline"}, "give its program with --baseline FILE"},
		{"no such flag", []string{"--fast"}, "unknown flag --fast"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), tt.give, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("exit code %d, %q does not say %q", code, &stderr, tt.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, &stdout, &stderr); code != exitGood || !strings.Contains(stdout.String(), "--quick") {
		t.Errorf("exit code %d, %q, %q", code, &stdout, &stderr)
	}
}
