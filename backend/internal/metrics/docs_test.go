package metrics_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

const docsFile = "../../../docs/metrics.md"

// docs/metrics.md is generated, so that it lists what an instance has, and nothing else.
func TestTheDocumentationListsEveryMetric(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Metrics\n\nGenerated from internal/metrics: `go test ./internal/metrics -update`. Durations are in seconds. Histograms are classic\n" +
		"and native, but for those of sizes. `go_*` and `process_*` are those of the Go client library of Prometheus.\n\n" +
		"| metric | type | meaning |\n|---|---|---|\n")
	for _, d := range metrics.Descriptions() {
		labels := ""
		if len(d.Labels) > 0 {
			labels = "{" + strings.Join(d.Labels, ",") + "}"
		}
		meaning := strings.TrimSuffix(d.Help, ".")
		if d.Detail != "" {
			meaning += ". " + strings.ToUpper(d.Detail[:1]) + d.Detail[1:]
		}
		fmt.Fprintf(&b, "| `%s%s` | %s | %s |\n", d.Name, labels, d.Type, meaning)
	}
	if *update {
		testkit.Must(t, os.WriteFile(docsFile, []byte(b.String()), 0o644))
	}
	if have, err := os.ReadFile(docsFile); err != nil || string(have) != b.String() {
		t.Errorf("docs/metrics.md is not what the code says (%v): run go test ./internal/metrics -update", err)
	}
}
