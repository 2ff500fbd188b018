package main

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/zonecast/zonecast/backend/internal/apidocs"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// pages are for people with a browser, and no part of the API.
var pages = regexp.MustCompile(`^/($|ui|screen|assets/|docs|debug/)`)

// Every route of the API is described, and what is described is a route.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	var described struct{ Paths map[string]map[string]any }
	testkit.Must(t, yaml.Unmarshal(apidocs.OpenAPI, &described))
	var want, got []string
	for path, methods := range described.Paths {
		for method := range methods {
			if method != "parameters" {
				got = append(got, strings.ToUpper(method)+" "+path)
			}
		}
	}
	parameter := regexp.MustCompile(`:(\w+)`)
	for _, r := range serving(t).access.Routes() {
		if r.Method != http.MethodHead && !pages.MatchString(r.Path) { // HEAD is GET without the body
			want = append(want, r.Method+" "+parameter.ReplaceAllString(r.Path, "{$1}"))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("described are\n%s\nroutes are\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What the server answers is what the description says.
func TestAnswersAreAsOpenAPISays(t *testing.T) {
	var tree map[string]any
	testkit.Must(t, yaml.Unmarshal(apidocs.OpenAPI, &tree))
	closeObjects(tree, tree)
	text, err := json.Marshal(tree)
	testkit.Must(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	testkit.Must(t, err)
	compiler := jsonschema.NewCompiler()
	testkit.Must(t, compiler.AddResource("api.json", document))
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")

	s := serving(t)
	for _, tt := range []struct {
		method, path, asked, body string
		status                    int
	}{
		{"post", "/api/v1/warehouses/{warehouse}/broadcast", "/api/v1/warehouses/w/broadcast", `{"event":"E","data":1}`, 200},
		{"post", "/api/v1/warehouses/{warehouse}/zones/{zone}/broadcast", "/api/v1/warehouses/w/zones/a/broadcast", `{"event":"E","data":{},"retain":true}`, 200},
		{"post", "/api/v1/warehouses/{warehouse}/broadcast", "/api/v1/warehouses/w/broadcast", `{"data":1}`, 400},
		{"post", "/api/v1/broadcast", "/api/v1/broadcast", `{"messages":[{"warehouse":"w","event":"E"},{"warehouse":"w"}]}`, 200},
		{"delete", "/api/v1/warehouses/{warehouse}/zones/{zone}/retained/{event}", "/api/v1/warehouses/w/zones/a/retained/F", "", 404},
		{"delete", "/api/v1/warehouses/{warehouse}/zones/{zone}/retained/{event}", "/api/v1/warehouses/w/zones/a/retained/E", "", 204},
		{"post", "/api/v1/warehouses/{warehouse}/zones/{zone}/broadcast", "/api/v1/warehouses/w/zones/a/broadcast", `{"event":"ALERT","data":{"id":7}}`, 200},
		{"get", "/api/v1/warehouses/{warehouse}/zones/{zone}/alerts", "/api/v1/warehouses/w/zones/a/alerts", "", 200},
		{"post", "/api/v1/warehouses/{warehouse}/zones/{zone}/alerts/acknowledge", "/api/v1/warehouses/w/zones/a/alerts/acknowledge", `{"id":"7","by":"Anna"}`, 200},
		{"post", "/api/v1/warehouses/{warehouse}/zones/{zone}/alerts/clear", "/api/v1/warehouses/w/zones/a/alerts/clear", `{"id":"7"}`, 200},
		{"post", "/api/v1/warehouses/{warehouse}/zones/{zone}/alerts/clear", "/api/v1/warehouses/w/zones/a/alerts/clear", `{"id":"7"}`, 404},
		{"get", "/api/v1/warehouses/{warehouse}/alerts/history", "/api/v1/warehouses/w/alerts/history?since=0", "", 200},
		{"get", "/api/v1/warehouses/{warehouse}/zones", "/api/v1/warehouses/w/zones?near=b", "", 200},
		{"get", "/api/v1/connections", "/api/v1/connections", "", 200},
		{"delete", "/api/v1/connections", "/api/v1/connections?warehouse=w", "", 200},
		{"delete", "/api/v1/connections/{id}", "/api/v1/connections/c-1", "", 404},
		{"post", "/api/v1/revocations", "/api/v1/revocations", `{"user":"ann"}`, 200},
		{"get", "/api/v1/revocations", "/api/v1/revocations", "", 200},
		{"post", "/api/v1/rebalance", "/api/v1/rebalance", "", 202},
		{"get", "/api/v1/instances", "/api/v1/instances", "", 200},
		{"get", "/api/v1/instances/{id}", "/api/v1/instances/" + s.config.NodeName, "", 200},
		{"post", "/api/v1/instances/{id}/drain", "/api/v1/instances/" + s.config.NodeName + "/drain", "", 409},
		{"delete", "/api/v1/instances/{id}/drain", "/api/v1/instances/" + s.config.NodeName + "/drain", "", 202},
		{"get", "/api/v1/audit", "/api/v1/audit", "", 200},
		{"get", "/health/websocket/metrics", "/health/websocket/metrics", "", 200},
		{"get", "/livez", "/livez", "", 200},
		{"get", "/readyz", "/readyz", "", 200},
		{"get", "/metrics", "/metrics", "", 200},
		{"get", "/poll", "/poll?warehouse=w&wait=0", "", 200},
		{"post", "/sse", "/sse", `{"event":"echo","data":1,"id":7}`, 200},
		{"post", "/poll", "/poll", `{"event":"subscribe","id":7}`, 400},
	} {
		answer, body := s.ask(t, strings.ToUpper(tt.method), tt.asked, tt.body)
		if answer.StatusCode != tt.status {
			t.Errorf("%s %s answers %d, want %d: %s", tt.method, tt.asked, answer.StatusCode, tt.status, body)
			continue
		}
		at := []string{"paths", tt.path, tt.method, "responses", strconv.Itoa(tt.status)}
		said := at[4]
		if lookUp(tree, at) == nil {
			at[4], said = "default", "default"
		}
		response, _ := lookUp(tree, at).(map[string]any)
		if ref, ok := response["$ref"].(string); ok {
			at = strings.Split(strings.TrimPrefix(ref, "#/"), "/")
			response, _ = lookUp(tree, at).(map[string]any)
		}
		if response == nil {
			t.Errorf("%s %s: %d is not described (%s)", tt.method, tt.path, tt.status, said)
			continue
		}
		contents, _ := response["content"].(map[string]any)
		if contents == nil {
			if len(body) > 0 {
				t.Errorf("%s %s answers %s, which is not described", tt.method, tt.asked, body)
			}
			continue
		}
		kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
		testkit.Must(t, err)
		if contents[kind] == nil {
			t.Errorf("%s %s answers %s, described are %v", tt.method, tt.asked, kind, contents)
			continue
		}
		if !strings.HasSuffix(kind, "json") {
			continue
		}
		pointer := "api.json#"
		for _, part := range append(at, "content", kind, "schema") {
			pointer += "/" + escape.Replace(part)
		}
		schema, err := compiler.Compile(pointer)
		testkit.Must(t, err)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		testkit.Must(t, err)
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s %s answers %s: %v", tt.method, tt.asked, body, err)
		}
	}
}

// lookUp returns what is at a path of keys, or nil.
func lookUp(tree any, keys []string) any {
	for _, key := range keys {
		node, ok := tree.(map[string]any)
		if !ok {
			return nil
		}
		tree = node[key]
	}
	return tree
}

// closeObjects forbids fields that are not described. The parts of an allOf are closed together.
func closeObjects(root, node any) {
	switch node := node.(type) {
	case []any:
		for _, item := range node {
			closeObjects(root, item)
		}
	case map[string]any:
		parts, isWhole := node["allOf"].([]any)
		for _, part := range parts {
			part := part.(map[string]any)
			if ref, ok := part["$ref"].(string); ok {
				part = lookUp(root, strings.Split(strings.TrimPrefix(ref, "#/"), "/")).(map[string]any)
			}
			part["x-part"] = true
			delete(part, "unevaluatedProperties") // if it came before
		}
		_, isObject := node["properties"]
		if isWhole || isObject && node["additionalProperties"] == nil && node["x-part"] == nil {
			node["unevaluatedProperties"] = false
		}
		for _, value := range node {
			closeObjects(root, value)
		}
	}
}
