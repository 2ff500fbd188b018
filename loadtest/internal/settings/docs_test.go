package settings

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/zonecast/zonecast/loadtest/internal/report"
)

var update = flag.Bool("update", false, "write the tables of docs/load-testing.md anew")

const page = "../../../docs/load-testing.md"

// The page lists every setting as the program has it. go test -update writes the lists anew.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	want := section(t, section(t, got, "settings", settingsTable(t)), "metrics", "`"+strings.ReplaceAll(report.MetricNames(), ", ", "`, `")+"`\n")
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("docs/load-testing.md is not what the program says: run go test ./internal/settings -update in loadtest.\nIt should be:\n%s", want)
	}
}

// section replaces what stands between the marks of a section.
func section(t *testing.T, page, name, content string) string {
	t.Helper()
	begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->"
	head, rest, ok := strings.Cut(page, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("the page has no section %s", name)
	}
	return head + begin + content + end + tail
}

func settingsTable(t *testing.T) string {
	t.Helper()
	parser, err := kong.New(&Plan{})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| flag | environment | default | what it is |\n| --- | --- | --- | --- |\n")
	for _, f := range parser.Model.Flags {
		if f.Name == "help" {
			continue
		}
		if len(f.Envs) != 1 || f.Help == "" {
			t.Errorf("--%s needs one environment name and a help text", f.Name)
			continue
		}
		value := ""
		if f.HasDefault {
			value = "`" + f.Default + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", f.Name, f.Envs[0], value, f.Help)
	}
	return b.String()
}
