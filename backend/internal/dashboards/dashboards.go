// Package dashboards generates the dashboards of Grafana in grafana/dashboards: what they have in
// common stands here once, what each one shows in boards.go.
//
//	boards.go ──▶ All ──▶ go test ./internal/dashboards -update ──▶ grafana/dashboards/*.json ──▶ Grafana
package dashboards

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// SourceUID is the data source that grafana/provisioning names.
const SourceUID = "zonecast-prometheus"

// A Board is one dashboard, whose uid is its file's name.
type Board struct {
	UID, Title, Description string
	Variables               []Variable // beside instance, which each has
	Rows                    []Row
}

// A Variable is chosen at the top of the dashboard.
type Variable struct{ Name, Label, Query string }

// A Row has panels beside one another.
type Row struct {
	Title  string
	Panels []Panel
}

// A Panel shows one or more queries. Its description says what to do when it looks wrong.
type Panel struct {
	Title, Description string
	Unit               string // as Grafana names it
	Kind               Kind
	Queries            []Query
	Threshold          float64 // from which on a stat is red; 0 for never
	RedBelow           bool    // a stat is red below the threshold instead
}

// Kind is how a panel shows its queries.
type Kind string

// The kinds of panels.
const (
	Lines Kind = "timeseries"
	Stat  Kind = "stat"
)

// A Query is an expression of Prometheus, and how its lines are called.
type Query struct{ Expr, Legend string }

// hasExemplars are the histograms whose values name traces.
var hasExemplars = regexp.MustCompile(`\bzonecast_(delivery_latency|publish_duration)_seconds`)

type object = map[string]any

var source = object{"type": "prometheus", "uid": SourceUID}

const (
	width      = 24 // of a dashboard, in Grafana's units
	lineHeight = 8
	statHeight = 4
)

// JSON is the dashboard as Grafana reads it.
func (b Board) JSON() ([]byte, error) {
	panels, id, y := []object{}, 0, 0
	for _, row := range b.Rows {
		id++
		panels = append(panels, object{"id": id, "type": "row", "title": row.Title, "collapsed": false, "panels": []any{},
			"gridPos": grid(0, y, width, 1)})
		y++
		each, height := width/len(row.Panels), statHeight
		for i, p := range row.Panels {
			if p.Kind == Lines {
				height = lineHeight
			}
			id++
			panels = append(panels, p.object(id, grid(i*each, y, each, height)))
		}
		y += height
	}
	return json.MarshalIndent(object{"uid": b.UID, "title": b.Title, "description": b.Description, "tags": []string{"zonecast"},
		"schemaVersion": 41, "version": 1, "editable": false, "graphTooltip": 1, "refresh": "5s", "timezone": "browser",
		"time": object{"from": "now-15m", "to": "now"}, "timepicker": object{}, "panels": panels,
		"annotations": object{"list": annotations()}, "links": links(), "templating": object{"list": b.variables()}}, "", "  ")
}

func grid(x, y, w, h int) object { return object{"x": x, "y": y, "w": w, "h": h} }

func (p Panel) object(id int, at object) object {
	targets := make([]object, len(p.Queries))
	for i, q := range p.Queries {
		targets[i] = object{"refId": string(rune('A' + i)), "datasource": source, "expr": q.Expr, "legendFormat": q.Legend, "range": true,
			"exemplar": p.Kind == Lines && hasExemplars.MatchString(q.Expr)}
	}
	defaults := object{"unit": p.Unit, "mappings": []any{}, "color": object{"mode": "palette-classic"}, "thresholds": p.thresholds()}
	options := object{"legend": object{"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": []string{"lastNotNull", "max"}},
		"tooltip": object{"mode": "multi", "sort": "desc"}}
	if p.Kind == Lines {
		defaults["custom"] = object{"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": false}
	} else {
		defaults["color"] = object{"mode": "thresholds"}
		options = object{"reduceOptions": object{"calcs": []string{"lastNotNull"}}, "colorMode": "value", "graphMode": "area"}
	}
	return object{"id": id, "type": p.Kind, "title": p.Title, "description": p.Description, "datasource": source, "gridPos": at,
		"fieldConfig": object{"defaults": defaults, "overrides": []any{}}, "options": options, "targets": targets}
}

func (p Panel) thresholds() object {
	below, above := "green", "red"
	if p.RedBelow {
		below, above = above, below
	}
	steps := []object{{"color": below, "value": nil}}
	if p.Threshold != 0 {
		steps = append(steps, object{"color": above, "value": p.Threshold})
	}
	return object{"mode": "absolute", "steps": steps}
}

// annotations are what explains a step in every panel.
func annotations() []object {
	mark := func(name, color, expr, text string) object {
		return object{"name": name, "datasource": source, "enable": true, "iconColor": color, "expr": expr, "step": "10s",
			"titleFormat": name, "textFormat": text}
	}
	return []object{
		mark("Restart", "blue", `changes(process_start_time_seconds{job="zonecast"}[30s]) > 0`, "{{instance}}"),
		mark("Drain", "orange", `zonecast_draining == 1`, "{{instance}} is leaving"),
		mark("Broker down", "red", `zonecast_broker_up == 0`, "{{instance}} has no {{broker}} broker"),
		mark("Rollout", "purple", `count(count by (version) (zonecast_build_info)) > 1`, "several versions run"),
	}
}

// links lead to the other dashboards, with the same time and variables, and to the operators'
// pages.
func links() []object {
	return []object{
		{"type": "dashboards", "title": "Zonecast", "tags": []string{"zonecast"}, "asDropdown": false, "includeVars": true, "keepTime": true},
		{"type": "link", "title": "Live dashboard", "url": "http://127.0.0.1:8080/ui/", "icon": "external link", "targetBlank": true},
		{"type": "link", "title": "Prometheus alerts", "url": "http://127.0.0.1:9090/alerts", "icon": "bolt", "targetBlank": true},
	}
}

func (b Board) variables() (all []object) {
	for _, v := range append([]Variable{{"instance", "Instance", `label_values(up{job="zonecast"}, instance)`}}, b.Variables...) {
		all = append(all, object{"name": v.Name, "label": v.Label, "type": "query", "datasource": source, "definition": v.Query,
			"query": object{"qryType": 1, "query": v.Query, "refId": v.Name}, "refresh": 2, "sort": 1, "multi": true, "includeAll": true,
			"allValue": ".*", "current": object{"text": []string{"All"}, "value": []string{"$__all"}}, "hide": 0, "options": []any{},
			"regex": "", "skipUrlSync": false})
	}
	return all
}

// Helpers for queries. Each takes notice of the instances that are chosen.

const chosen = `instance=~"$instance"`

// of is the metric at the chosen instances, with further matchers.
func of(metric string, matchers ...string) string {
	return fmt.Sprintf("%s{%s}", metric, strings.Join(append([]string{chosen}, matchers...), ","))
}

// rate is how fast a counter rises, added up by labels.
func rate(by, metric string, matchers ...string) string {
	return sum(by, fmt.Sprintf("rate(%s[$__rate_interval])", of(metric, matchers...)))
}

func sum(by, expr string) string {
	if by == "" {
		return fmt.Sprintf("sum(%s)", expr)
	}
	return fmt.Sprintf("sum by (%s) (%s)", by, expr)
}

// quantiles are those of a histogram of durations. They ask for the native histogram, and for the
// classic one where Prometheus does not keep native ones.
func quantiles(metric, name string, matchers ...string) (all []Query) {
	for _, q := range []string{"0.5", "0.99"} {
		all = append(all, Query{quantile(q, metric, matchers...), strings.TrimSpace(name + " p" + strings.TrimPrefix(q, "0.") + map[string]string{"0.5": "0"}[q])})
	}
	return all
}

func quantile(q, metric string, matchers ...string) string {
	return fmt.Sprintf("histogram_quantile(%s, sum(rate(%s[$__rate_interval]))) or histogram_quantile(%s, sum by (le) (rate(%s[$__rate_interval])))",
		q, of(metric, matchers...), q, of(metric+"_bucket", matchers...))
}
