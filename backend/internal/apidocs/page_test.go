package apidocs_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"html/template"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/apidocs"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

var update = flag.Bool("update", false, "write index.html")

var pageTemplate = template.Must(template.New("").Funcs(template.FuncMap{"json": func(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}, "upper": strings.ToUpper}).Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Zonecast: HTTP API and frames</title>
<link rel="stylesheet" href="docs.css">
<main>
<h1>HTTP API and frames</h1>
<p>For tools: <a href="openapi.yaml">OpenAPI 3.1</a> of the HTTP API, <a href="asyncapi.yaml">AsyncAPI 3</a> of the frames.</p>
<h2>HTTP API</h2>
<p>{{ .HTTP.Info.Description }}</p>
{{ range $tag := .HTTP.Tags }}<section>
<h3>{{ $tag.Name }}</h3>
<p>For {{ $tag.Description }}.</p>
<table>
{{ range $path, $item := $.HTTP.Paths }}{{ range $method, $o := $item.Operations }}{{ if eq (index $o.Tags 0) $tag.Name }}<tr><td><code><span class="method">{{ upper $method }}</span> {{ $path }}</code></td><td>{{ $o.Summary }}{{ with $o.RequestBody.Example }}<pre>{{ json . }}</pre>{{ end }}</td></tr>
{{ end }}{{ end }}{{ end }}</table>
</section>
{{ end }}<h2>Frames</h2>
<p>{{ .Frames.Info.Description }}</p>
<section>
<h3>transports</h3>
<table>
{{ range $name, $channel := .Frames.Channels }}<tr><td><code>{{ $channel.Address }}</code></td><td>{{ $channel.Description }}</td></tr>
{{ end }}</table>
</section>
<section>
<h3>events</h3>
<table>
{{ range $name, $m := .Frames.Components.Messages }}<tr><td><code>{{ $name }}</code></td><td>{{ $m.Summary }}</td></tr>
{{ end }}</table>
</section>
</main>
</html>
`))

type info struct{ Description string }

// A pathItem has operations by method, and other things.
type pathItem map[string]yaml.Node

type operation struct {
	Tags        []string
	Summary     string
	RequestBody struct {
		Example any
		Ref     string `yaml:"$ref"`
		Content map[string]struct{ Example any }
	} `yaml:"requestBody"`
}

func (p pathItem) Operations() (map[string]operation, error) {
	all := map[string]operation{}
	for method, node := range p {
		if method == "parameters" {
			continue
		}
		var o operation
		if err := node.Decode(&o); err != nil {
			return nil, err
		}
		if o.RequestBody.Ref != "" {
			var shared struct {
				Components struct {
					RequestBodies map[string]struct {
						Content map[string]struct{ Example any }
					} `yaml:"requestBodies"`
				}
			}
			if err := yaml.Unmarshal(apidocs.OpenAPI, &shared); err != nil {
				return nil, err
			}
			o.RequestBody.Content = shared.Components.RequestBodies[o.RequestBody.Ref[strings.LastIndex(o.RequestBody.Ref, "/")+1:]].Content
		}
		o.RequestBody.Example = o.RequestBody.Content["application/json"].Example
		all[method] = o
	}
	return all, nil
}

// The page for people is made from the files for tools.
func TestThePageIsMadeFromTheFiles(t *testing.T) {
	var v struct {
		HTTP struct {
			Info  info
			Tags  []struct{ Name, Description string }
			Paths map[string]pathItem
		}
		Frames struct {
			Info       info
			Channels   map[string]struct{ Address, Description string }
			Components struct {
				Messages map[string]struct{ Summary string }
			}
		}
	}
	testkit.Must(t, yaml.Unmarshal(apidocs.OpenAPI, &v.HTTP))
	testkit.Must(t, yaml.Unmarshal(apidocs.AsyncAPI, &v.Frames))
	var html bytes.Buffer
	testkit.Must(t, pageTemplate.Execute(&html, v))
	if *update {
		testkit.Must(t, os.WriteFile("index.html", html.Bytes(), 0o644))
	}
	had, err := os.ReadFile("index.html")
	testkit.Must(t, err)
	if !bytes.Equal(had, html.Bytes()) {
		t.Error("index.html is not what the files say: go test ./internal/apidocs -update")
	}
	for path := range v.HTTP.Paths {
		if !strings.Contains(html.String(), "</span> "+path+"</code>") {
			t.Errorf("%s is not on the page: has its operation a tag?", path)
		}
	}
}

// The page runs nothing, loads nothing from elsewhere, and its links hold wherever it is shown.
func TestThePageNeedsNothingFromElsewhere(t *testing.T) {
	e := echo.New()
	apidocs.AddRoutes(access.New(e, nil))
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	w := ask("/docs/")
	if policy := w.Header().Get("Content-Security-Policy"); w.Code != http.StatusOK || !strings.HasPrefix(policy, "default-src 'none'; style-src 'self'") {
		t.Errorf("answered %d with the policy %q", w.Code, policy)
	}
	if regexp.MustCompile(`<script|style=|<style| on[a-z]+=`).Match(w.Body.Bytes()) {
		t.Error("the page has what its policy forbids")
	}
	for _, link := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		if strings.ContainsAny(link[1], ":/") {
			t.Errorf("the link %s is not relative", link[1])
		}
		if got := ask("/docs/" + link[1]); got.Code != http.StatusOK {
			t.Errorf("%s answers %d", link[1], got.Code)
		}
	}
	if n := w.Body.Len(); n > 64<<10 {
		t.Errorf("the page has %d bytes", n)
	}
}

// Every example in the description of the HTTP API is valid by the schema beside it.
func TestOpenAPIExamplesAreValid(t *testing.T) {
	schema := openAPISchemas(t)
	var tree any
	testkit.Must(t, yaml.Unmarshal(apidocs.OpenAPI, &tree))
	n := 0
	var walk func(path string, node any)
	walk = func(path string, node any) {
		switch node := node.(type) {
		case map[string]any:
			if example, ok := node["example"]; ok && node["schema"] != nil {
				n++
				if err := schema(path + "/schema").Validate(plain(t, example)); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
			for _, key := range slices.Sorted(maps.Keys(node)) {
				walk(path+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key), node[key])
			}
		case []any:
			for i, item := range node {
				walk(path+"/"+string(rune('0'+i)), item)
			}
		}
	}
	walk("", tree)
	if n < 8 {
		t.Errorf("only %d examples", n)
	}
}
