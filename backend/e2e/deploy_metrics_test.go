package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

type dashboard struct {
	UID        string           `json:"uid"`
	Title      string           `json:"title"`
	Panels     []dashboardPanel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string           `json:"name"`
			Datasource *datasourceOfUID `json:"datasource"`
		} `json:"list"`
	} `json:"templating"`
}

type datasourceOfUID struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type dashboardPanel struct {
	ID          int              `json:"id"`
	Type        string           `json:"type"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	Datasource  *datasourceOfUID `json:"datasource"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	GridPos struct{ H, W, X, Y int } `json:"gridPos"`
	Targets []struct {
		Expr         string           `json:"expr"`
		LegendFormat string           `json:"legendFormat"`
		Datasource   *datasourceOfUID `json:"datasource"`
	} `json:"targets"`
}

type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

func TestPrometheusAcceptsItsConfiguration(t *testing.T) {
	folder := filepath.Join(repository, "deploy", "prometheus")
	runProgram(t, "promtool", "check", "config", filepath.Join(folder, "prometheus.yml"))
	runProgram(t, "promtool", "check", "rules", filepath.Join(folder, "rules.yml"))
	runProgram(t, "promtool", "test", "rules", filepath.Join(folder, "rules_test.yml"), filepath.Join(folder, "rules_slow_test.yml"))
}

// Alertmanager takes the example of who is told, which knows every severity and no alert that there
// is not.
func TestAlertsFindWhoIsTold(t *testing.T) {
	config := filepath.Join(repository, "deploy", "alertmanager", "alertmanager.yml")
	runProgram(t, "amtool", "check-config", config)
	for severity, want := range map[string]string{"critical": "on-call", "warning": "working-hours", "none": "watchdog"} {
		if got := runProgram(t, "amtool", "config", "routes", "test", "--config.file", config, "severity="+severity); !strings.HasSuffix(strings.TrimSpace(got), want) {
			t.Errorf("who is told of %s: %q, want %s", severity, got, want)
		}
	}
	alerts := readAlerts(t)
	for _, name := range regexp.MustCompile(`\bZonecast[A-Z]\w+`).FindAllString(readFile(t, "deploy/alertmanager/alertmanager.yml"), -1) {
		if !slices.ContainsFunc(alerts, func(a alert) bool { return a.name == name }) {
			t.Errorf("alertmanager.yml names %s, which is no alert", name)
		}
	}
}

func TestEveryAlertHasATest(t *testing.T) {
	tests := readFile(t, "deploy/prometheus/rules_test.yml") + readFile(t, "deploy/prometheus/rules_slow_test.yml")
	for _, alert := range readAlerts(t) {
		if !regexp.MustCompile(`alertname: ` + alert.name + `\n\s+exp_alerts:\n`).MatchString(tests) {
			t.Errorf("no test lets %s fire", alert.name)
		}
	}
}

func TestDashboardsAreWhole(t *testing.T) {
	source, uids := provisionedSource(t), map[string]bool{}
	for _, board := range readDashboards(t) {
		if uids[board.UID] {
			t.Errorf("the uid %s is there twice", board.UID)
		}
		uids[board.UID] = true
		t.Run(board.UID, func(t *testing.T) { dashboardIsWhole(t, board, source) })
	}
	for _, alert := range readAlerts(t) {
		if uid, ok := strings.CutPrefix(alert.annotations["dashboard"], "/d/"); !ok || !uids[uid] {
			t.Errorf("%s links to the dashboard %q, which is none of %v", alert.name, alert.annotations["dashboard"], uids)
		}
	}
}

// Whoever is woken finds what the alert means, where to look and what to do.
func TestEveryAlertHasARunbookEntry(t *testing.T) {
	runbook := readFile(t, "docs/runbook.md")
	for _, alert := range readAlerts(t) {
		if want := "docs/runbook.md#" + strings.ToLower(alert.name); alert.annotations["runbook"] != want {
			t.Errorf("%s links to the runbook at %q, want %q", alert.name, alert.annotations["runbook"], want)
		}
		_, entry, found := strings.Cut(runbook, "\n## "+alert.name+"\n")
		entry, _, _ = strings.Cut(entry, "\n## ")
		for _, part := range []string{"It means", "Look here", "Do this", "Silence it"} {
			if !strings.Contains(entry, "* **"+part+"**: ") {
				t.Errorf("the runbook has an entry for %s: %t; it lacks %q", alert.name, found, part)
			}
		}
		if alert.annotations["summary"] == "" || !slices.Contains([]string{"critical", "warning", "none"}, alert.severity) {
			t.Errorf("%s has the summary %q and the severity %q", alert.name, alert.annotations["summary"], alert.severity)
		}
	}
	for _, match := range regexp.MustCompile(`(?m)^## (Zonecast\w+)$`).FindAllStringSubmatch(runbook, -1) {
		if !slices.ContainsFunc(readAlerts(t), func(a alert) bool { return a.name == match[1] }) {
			t.Errorf("the runbook has an entry for %s, which is no alert", match[1])
		}
	}
}

func dashboardIsWhole(t *testing.T, board dashboard, source string) {
	right := func(given *datasourceOfUID) bool {
		return given != nil && given.UID == source && given.Type == "prometheus"
	}
	if board.UID == "" || board.Title == "" {
		t.Error("the dashboard has no uid or no title")
	}
	for _, variable := range board.Templating.List {
		if !right(variable.Datasource) {
			t.Errorf("variable %s asks %+v, want %s", variable.Name, variable.Datasource, source)
		}
	}
	ids := map[int]bool{}
	for n, panel := range board.Panels {
		if ids[panel.ID] {
			t.Errorf("%s: id %d is there twice", panel.Title, panel.ID)
		}
		ids[panel.ID] = true
		for _, other := range board.Panels[:n] {
			if overlap(panel, other) {
				t.Errorf("%s lies over %s", panel.Title, other.Title)
			}
		}
		if panel.Type == "row" {
			continue
		}
		if !right(panel.Datasource) {
			t.Errorf("%s asks %+v, want %s", panel.Title, panel.Datasource, source)
		}
		if panel.FieldConfig.Defaults.Unit == "" || panel.Description == "" || panel.Title == "" || len(panel.Targets) == 0 {
			t.Errorf("%s lacks a unit, a description, a title or something to show", panel.Title)
		}
		for _, target := range panel.Targets {
			if !right(target.Datasource) {
				t.Errorf("%s: a target asks %+v, want %s", panel.Title, target.Datasource, source)
			}
			if !strings.Contains(target.Expr, `instance=~"$instance"`) {
				t.Errorf("%s: %s takes no notice of the chosen instances", panel.Title, target.Expr)
			}
		}
	}
}

// What dashboards and alerts ask for is what an instance measures.
func TestMetricsExist(t *testing.T) {
	measured := measuredNames(t)
	names := regexp.MustCompile(`\b(?:zonecast|process|go)_[a-z_]+\b`)
	for _, query := range readQueries(t) {
		for _, name := range names.FindAllString(query.expr, -1) {
			if !measured(name) {
				t.Errorf("%s asks for %s, which no instance measures", query.where, name)
			}
		}
	}
}

func TestCloseCodesExist(t *testing.T) {
	var known []string
	for _, code := range wire.CloseCodes() {
		known = append(known, code.String())
	}
	for _, query := range readQueries(t) {
		for _, match := range regexp.MustCompile(`closed_total\{[^}]*code="([^"]+)"`).FindAllStringSubmatch(query.expr, -1) {
			if !slices.Contains(known, match[1]) {
				t.Errorf("%s asks for connections closed with %q; the codes are %v", query.where, match[1], known)
			}
		}
	}
}

// measuredNames asks a running instance, and for what it has not counted yet, the source.
func measuredNames(t *testing.T) func(string) bool {
	t.Helper()
	s := stacktest.Start(t, stack.Options{Root: repository, Binary: binary(), Instances: 1, Redis: true})
	text := exposition(t, s.Instances[0].URL)
	sources, err := filepath.Glob("../internal/metrics/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no source of internal/metrics: %v", err)
	}
	var source strings.Builder
	for _, file := range sources {
		code, err := os.ReadFile(file)
		testkit.Must(t, err)
		source.Write(code)
	}
	return func(name string) bool {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		return slices.ContainsFunc([]string{name, base}, func(name string) bool {
			return strings.Contains(text, "# TYPE "+name+" ") || strings.Contains(source.String(), `"`+name+`"`)
		})
	}
}

// A query is one expression, with the place where it stands.
type query struct {
	where, expr, legend string
	alert               bool // not a panel
}

func readQueries(t *testing.T) []query {
	t.Helper()
	var queries []query
	for _, board := range readDashboards(t) {
		for _, panel := range board.Panels {
			for _, target := range panel.Targets {
				queries = append(queries, query{board.UID + ": the panel " + panel.Title, target.Expr, target.LegendFormat, false})
			}
		}
	}
	for _, alert := range readAlerts(t) {
		queries = append(queries, query{"the alert " + alert.name, alert.expr, "", true})
	}
	if len(queries) < 20 {
		t.Fatalf("only %d queries were found in the dashboard and the alerts", len(queries))
	}
	return queries
}

type alert struct {
	name, expr, severity string
	annotations          map[string]string
}

func readAlerts(t *testing.T) []alert {
	t.Helper()
	var alerts []alert
	for _, group := range readYAML[ruleFile](t, "deploy/prometheus/rules.yml").Groups {
		for _, rule := range group.Rules {
			if rule.Alert != "" { // else it records
				alerts = append(alerts, alert{rule.Alert, rule.Expr, rule.Labels["severity"], rule.Annotations})
			}
		}
	}
	return alerts
}

func readDashboards(t *testing.T) (all []dashboard) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(repository, "grafana", "dashboards", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, file := range files {
		var board dashboard
		text, err := os.ReadFile(file)
		testkit.Must(t, err)
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, board)
	}
	return all
}

// provisionedSource is the uid of the one data source.
func provisionedSource(t *testing.T) string {
	t.Helper()
	file := readYAML[struct {
		Datasources []struct {
			UID  string `yaml:"uid"`
			Type string `yaml:"type"`
		} `yaml:"datasources"`
	}](t, "grafana/provisioning/datasources/prometheus.yml")
	if len(file.Datasources) != 1 || file.Datasources[0].Type != "prometheus" || file.Datasources[0].UID == "" {
		t.Fatalf("data sources are %+v, want one of the type prometheus with a uid", file.Datasources)
	}
	return file.Datasources[0].UID
}

func overlap(a, b dashboardPanel) bool {
	p, q := a.GridPos, b.GridPos
	return p.X < q.X+q.W && q.X < p.X+p.W && p.Y < q.Y+q.H && q.Y < p.Y+p.H
}
