package apidocs_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/apidocs"
	"github.com/zonecast/zonecast/backend/internal/problem"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

type document struct {
	Channels map[string]struct {
		Address    string
		Messages   map[string]any
		CloseCodes map[string]struct {
			Name      string
			Reconnect bool
		} `yaml:"x-close-codes"`
	}
	Operations map[string]struct {
		Messages []map[string]string
	}
	Components struct {
		Messages map[string]any
		Schemas  struct {
			ErrorCode struct {
				Enum   []string
				Status map[string]int `yaml:"x-status"`
			} `yaml:"errorCode"`
		}
	}
}

func read(t *testing.T) (d document) {
	t.Helper()
	if err := yaml.Unmarshal(apidocs.AsyncAPI, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// constants returns the texts of the constants in wire's event.go whose names begin with prefix.
func constants(t *testing.T, prefix string) (texts []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../wire/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) || len(spec.Values) != 1 {
			return true
		}
		if text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value); err == nil {
			texts = append(texts, text)
		}
		return true
	})
	if len(texts) == 0 {
		t.Fatalf("event.go has no constants %s…", prefix)
	}
	slices.Sort(texts)
	return texts
}

func TestAsyncAPIHasEachErrorCodeWithItsStatus(t *testing.T) {
	codes := read(t).Components.Schemas.ErrorCode
	slices.Sort(codes.Enum)
	if want := constants(t, "Code"); !slices.Equal(codes.Enum, want) {
		t.Errorf("codes are %v, want %v", codes.Enum, want)
	}
	for code := range codes.Status {
		if !slices.Contains(codes.Enum, code) {
			t.Errorf("x-status has %s, which is no code", code)
		}
	}
	for _, code := range codes.Enum {
		got, ok := codes.Status[code]
		if !ok {
			got = http.StatusBadRequest
		}
		if want := problem.Of(wire.Errorf(wire.ErrorCode(code), "")).Status; got != want {
			t.Errorf("%s has status %d, want %d", code, got, want)
		}
	}
}

func TestAsyncAPIHasEachFrame(t *testing.T) {
	want := append(slices.DeleteFunc(constants(t, "Event"), func(e string) bool { return !wire.IsReserved(e) }), "published")
	for i, event := range want {
		want[i] = strings.TrimPrefix(event, "@") // which no name in AsyncAPI may have
	}
	slices.Sort(want)
	d := read(t)
	var sent []string
	for _, operation := range d.Operations {
		for _, message := range operation.Messages {
			if name, ok := strings.CutPrefix(message["$ref"], "#/channels/ws/messages/"); ok {
				sent = append(sent, name)
			}
		}
	}
	slices.Sort(sent)
	for place, got := range map[string][]string{
		"the channel":    slices.Sorted(maps.Keys(d.Channels["ws"].Messages)),
		"the operations": sent,
		"the components": slices.Sorted(maps.Keys(d.Components.Messages)),
	} {
		if !slices.Equal(got, want) {
			t.Errorf("%s: frames are %v, want %v", place, got, want)
		}
	}
}

// Each channel is an address that clients connect to, and each of its frames is in an operation of
// its own direction.
func TestAsyncAPIHasEachTransport(t *testing.T) {
	d := read(t)
	var addresses []string
	for name, channel := range d.Channels {
		addresses = append(addresses, channel.Address)
		for message := range channel.Messages {
			uses := 0
			for _, operation := range d.Operations {
				for _, m := range operation.Messages {
					if m["$ref"] == "#/channels/"+name+"/messages/"+message {
						uses++
					}
				}
			}
			if uses != 1 || d.Components.Messages[message] == nil {
				t.Errorf("%s of the channel %s is in %d operations", message, name, uses)
			}
		}
	}
	slices.Sort(addresses)
	if want := []string{"/poll", "/sse", "/ws", "/{transport}"}; !slices.Equal(addresses, want) {
		t.Errorf("channels are at %v, want %v", addresses, want)
	}
}

func TestAsyncAPIHasEachCloseCode(t *testing.T) {
	codes := read(t).Channels["ws"].CloseCodes
	if len(codes) != len(wire.CloseCodes()) {
		t.Errorf("%d close codes, want %d", len(codes), len(wire.CloseCodes()))
	}
	for _, want := range wire.CloseCodes() {
		got := codes[strconv.Itoa(int(want))]
		if got.Name != want.String() || got.Reconnect != want.Reconnect() {
			t.Errorf("%d is %+v, want %s, reconnect %v", want, got, want, want.Reconnect())
		}
	}
}

// compiler returns a function for the schema at a JSON pointer of a YAML file.
func compiler(t *testing.T, text []byte) func(pointer string) *jsonschema.Schema {
	t.Helper()
	var tree any
	testkit.Must(t, yaml.Unmarshal(text, &tree))
	c := jsonschema.NewCompiler()
	testkit.Must(t, c.AddResource("api.json", plain(t, tree)))
	return func(pointer string) *jsonschema.Schema {
		t.Helper()
		s, err := c.Compile("api.json#" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(pointer))
		testkit.Must(t, err)
		return s
	}
}

// plain is a value of YAML as one of JSON.
func plain(t *testing.T, value any) any {
	t.Helper()
	text, err := json.Marshal(value)
	testkit.Must(t, err)
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	testkit.Must(t, err)
	return decoded
}

func schemas(t *testing.T) func(name string) *jsonschema.Schema {
	t.Helper()
	at := compiler(t, apidocs.AsyncAPI)
	return func(name string) *jsonschema.Schema { return at("/components/schemas/" + name) }
}

func openAPISchemas(t *testing.T) func(pointer string) *jsonschema.Schema {
	return compiler(t, apidocs.OpenAPI)
}

func TestGoldenFramesAreValidByAsyncAPI(t *testing.T) {
	text, err := os.ReadFile("../../wire/testdata/golden.json")
	testkit.Must(t, err)
	var golden struct{ Server, Client []struct{ Name, Text string } }
	testkit.Must(t, json.Unmarshal(text, &golden))
	schema := schemas(t)
	for _, frame := range slices.Concat(golden.Server, golden.Client) {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(frame.Text))
		testkit.Must(t, err)
		name := value.(map[string]any)["event"].(string)
		if !wire.IsReserved(name) {
			name = "published"
		}
		if err := schema(strings.TrimPrefix(name, "@")).Validate(value); err != nil {
			t.Errorf("%s: %v", frame.Name, err)
		}
	}
}

func TestFramesThatTheServerRefusesAreInvalidByAsyncAPI(t *testing.T) {
	schema := schemas(t)
	for _, c := range []struct{ schema, give string }{
		{"subscribe", `{"event":"subscribe"}`},
		{"subscribe", `{"event":"subscribe","data":{"warehouse":"w","zoen":"a"}}`},
		{"subscribe", `{"event":"subscribe","data":{"warehouse":"w","zone":""}}`},
		{"subscribe", `{"event":"subscribe","data":{"warehouse":"w"},"id":1.5}`},
		{"publish", `{"event":"publish","data":{"warehouse":"w"}}`},
		{"authenticate", `{"event":"authenticate","data":{}}`},
		{"gap", `{"event":"gap","data":{"room":"zone:w","from":"a-1","to":"a-2"}}`},
	} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(c.give))
		testkit.Must(t, err)
		if schema(c.schema).Validate(value) == nil {
			t.Errorf("%s is valid", c.give)
		}
	}
}

func TestTheServerServesItToAnyone(t *testing.T) {
	e := echo.New()
	apidocs.AddRoutes(access.New(e, nil))
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/docs/asyncapi.yaml", nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/yaml" || !bytes.Equal(w.Body.Bytes(), apidocs.AsyncAPI) {
		t.Errorf("answered %d, %s", w.Code, w.Header())
	}
}
