package dashboards_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/dashboards"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

var update = flag.Bool("update", false, "write grafana/dashboards anew")

const folder = "../../../grafana/dashboards"

func TestTheDashboardsAreThoseOfTheCode(t *testing.T) {
	var want []string
	for _, b := range dashboards.All() {
		text, err := b.JSON()
		testkit.Must(t, err)
		text = append(text, '\n')
		file := filepath.Join(folder, b.UID+".json")
		want = append(want, file)
		if *update {
			testkit.Must(t, os.WriteFile(file, text, 0o644))
		}
		if have, err := os.ReadFile(file); err != nil || string(have) != string(text) {
			t.Errorf("%s is not what the code says (%v): run go test ./internal/dashboards -update", file, err)
		}
	}
	if have, _ := filepath.Glob(folder + "/*.json"); len(have) != len(want) {
		t.Errorf("%s has the dashboards %v, want %v", folder, have, want)
	}
}

// unused are metrics that no panel and no rule asks for, and why.
var unused = map[string]string{
	"zonecast_messages_dropped_total": "the former name of two others",
}

// Each metric is looked at by somebody, and each query asks for what there is.
func TestEveryMetricIsInAPanelOrARule(t *testing.T) {
	rules, err := os.ReadFile("../../../deploy/prometheus/rules.yml")
	testkit.Must(t, err)
	asked := string(rules)
	for _, b := range dashboards.All() {
		text, err := b.JSON()
		testkit.Must(t, err)
		asked += string(text)
	}
	for _, d := range metrics.Descriptions() {
		used := strings.Contains(asked, d.Name+"{") || strings.Contains(asked, d.Name+"_bucket") || strings.Contains(asked, d.Name+"_count") || strings.Contains(asked, d.Name+"[") ||
			strings.Contains(asked, d.Name+" ") || strings.Contains(asked, d.Name+")")
		if _, excused := unused[d.Name]; used == excused {
			t.Errorf("%s: in a panel or a rule: %t; excused: %t", d.Name, used, excused)
		}
	}
}
