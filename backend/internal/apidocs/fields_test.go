package apidocs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/zonecast/zonecast/backend/internal/apidocs"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// fields are the JSON fields of a struct or of a schema, each with its JSON type if that is plain
// to see.
type fields map[string]string

// agree reports whether both have the same fields, and no field has two types.
func (f fields) agree(other fields) bool {
	return maps.EqualFunc(f, other, func(a, b string) bool { return a == b || a == "" || b == "" })
}

// Every struct that the API reads or writes has a schema with its fields, neither more nor fewer.
func TestEachStructOfTheAPIHasItsSchema(t *testing.T) {
	var tree any
	testkit.Must(t, yaml.Unmarshal(apidocs.OpenAPI, &tree))
	described := objects(tree)
	structs := structsOf(t, "../api")
	for _, name := range answeredByOthers {
		pkg, _, _ := strings.Cut(name, ".")
		found, ok := structsOf(t, folderOf(pkg))[name]
		if !ok {
			t.Errorf("there is no %s", name)
		}
		structs[name] = found
	}
	if len(structs) < 30 {
		t.Fatalf("only %d structs", len(structs))
	}
	for name, s := range structs {
		if slices.Contains(inParts, name) {
			continue
		}
		if !slices.ContainsFunc(described, s.agree) {
			t.Errorf("%s: openapi.yaml describes no object with exactly %v", name, s)
		}
	}
}

// Every parameter of a query that the server reads is described, and none that it does not read.
func TestEachParameterOfAQueryIsDescribed(t *testing.T) {
	read := map[string]bool{}
	byName := regexp.MustCompile(`(?:QueryParam|Query\(\)\.Get|values\.Get)\("([\w-]+)"\)|values\["(\w+)"\]|EqualFold\(name, "(\w+)"\)`)
	for _, pattern := range []string{"../api/*.go", "../auth/*.go", "../transport/*.go", "../transport/*/*.go"} {
		paths, err := filepath.Glob(pattern)
		testkit.Must(t, err)
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			text, err := os.ReadFile(path)
			testkit.Must(t, err)
			for _, m := range byName.FindAllSubmatch(text, -1) {
				read[string(slices.Concat(m[1:]...))] = true
			}
		}
	}
	described := map[string]bool{}
	var tree any
	testkit.Must(t, yaml.Unmarshal(apidocs.OpenAPI, &tree))
	eachObject(tree, func(node map[string]any) {
		if name, ok := node["name"].(string); ok && node["in"] == "query" {
			described[name] = true
		}
	})
	sameNames(t, "parameters", slices.Collect(maps.Keys(described)), slices.Collect(maps.Keys(read)))
}

func eachObject(node any, visit func(map[string]any)) {
	switch node := node.(type) {
	case []any:
		for _, item := range node {
			eachObject(item, visit)
		}
	case map[string]any:
		visit(node)
		for _, value := range node {
			eachObject(value, visit)
		}
	}
}

// frames are the types of what frames have as data.
var frames = map[string]any{
	"subscribe": wire.Subscribe{}, "unsubscribe": wire.Target{}, "publish": wire.Publish{}, "authenticate": wire.Authenticate{},
	"connected": wire.Connected{}, "heartbeat": wire.Heartbeat{}, "error": wire.Error{}, "gap": wire.Gap{}, "conflated": wire.Conflated{},
	"drain": wire.Drain{}, "screen": wire.Screen{},
}

// The data of each frame has the fields of its Go type, and those that are always there are
// required.
func TestAsyncAPIHasEachFieldOfAFrame(t *testing.T) {
	var tree map[string]any
	testkit.Must(t, yaml.Unmarshal(apidocs.AsyncAPI, &tree))
	schemas := tree["components"].(map[string]any)["schemas"].(map[string]any)
	for name, schema := range schemas {
		properties, _ := schema.(map[string]any)["properties"].(map[string]any)
		data, described := properties["data"].(map[string]any)
		if name == "published" {
			want := []string{}
			for _, field := range reflect.VisibleFields(reflect.TypeFor[wire.ServerFrame]()) {
				want = append(want, field.Tag.Get("json"))
			}
			got := append(slices.Collect(maps.Keys(properties)), "id") // which answers have
			sameNames(t, name, got, want)
			continue
		}
		if frame := frames[name]; described != (frame != nil) {
			t.Errorf("%s: give its type in frames, and its fields in asyncapi.yaml", name)
		} else if described {
			compare(t, name, tree, data, reflect.TypeOf(frame))
		}
	}
}

func compare(t *testing.T, at string, tree, schema map[string]any, kind reflect.Type) {
	t.Helper()
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	schema = resolve(tree, schema)
	if kind.Kind() == reflect.Slice && schema["type"] == "array" {
		compare(t, at+"[]", tree, schema["items"].(map[string]any), kind.Elem())
		return
	}
	if kind.Kind() != reflect.Struct {
		return
	}
	properties, _ := schema["properties"].(map[string]any)
	var names, required []string
	for _, field := range reflect.VisibleFields(kind) {
		name, options, tagged := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		names = append(names, name)
		if !tagged || !strings.Contains(options, "omit") {
			required = append(required, name)
		}
		if property, ok := properties[name].(map[string]any); ok {
			compare(t, at+"."+name, tree, property, field.Type)
		}
	}
	var listed []string
	for _, name := range schema["required"].([]any) {
		listed = append(listed, name.(string))
	}
	sameNames(t, at+": fields of "+kind.String(), slices.Collect(maps.Keys(properties)), names)
	sameNames(t, at+": fields that are always there", listed, required)
}

func sameNames(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: described are %v, want %v", what, got, want)
	}
}

// objects returns what a tree describes as objects; those of allOf are one.
func objects(root any) (all []fields) {
	eachObject(root, func(node map[string]any) {
		if own := propertiesOf(root, node); len(own) > 0 {
			all = append(all, own)
		}
	})
	return all
}

func propertiesOf(root any, node map[string]any) fields {
	node = resolve(root, node)
	own := fields{}
	properties, _ := node["properties"].(map[string]any)
	for name, property := range properties {
		own[name] = ""
		if property, ok := property.(map[string]any); ok {
			own[name], _ = resolve(root, property)["type"].(string)
		}
	}
	parts, _ := node["allOf"].([]any)
	for _, part := range parts {
		maps.Copy(own, propertiesOf(root, part.(map[string]any)))
	}
	return own
}

// resolve follows a $ref.
func resolve(root any, node map[string]any) map[string]any {
	ref, ok := node["$ref"].(string)
	if !ok {
		return node
	}
	at := root
	for key := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[key]
	}
	return resolve(root, at.(map[string]any))
}

// structsOf returns the structs with JSON tags in a package, as package.Type; one without a name is
// package.Function:line.
func structsOf(t *testing.T, folder string) map[string]fields {
	t.Helper()
	paths, err := filepath.Glob(folder + "/*.go")
	testkit.Must(t, err)
	set, pkg := token.NewFileSet(), filepath.Base(folder)
	named, nodes := map[string]*ast.StructType{}, map[string]*ast.StructType{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		testkit.Must(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if s, ok := n.Type.(*ast.StructType); ok {
					named[n.Name.Name] = s
				}
			case *ast.StructType:
				nodes[filepath.Base(path)+":"+strconv.Itoa(set.Position(n.Pos()).Line)] = n
			}
			return true
		})
	}
	for name, s := range named {
		maps.DeleteFunc(nodes, func(_ string, other *ast.StructType) bool { return other == s })
		nodes[name] = s
	}
	all := map[string]fields{}
	for name, s := range nodes {
		if own := fieldsOf(t, named, s); len(own) > 0 {
			all[pkg+"."+name] = own
		}
	}
	return all
}

func fieldsOf(t *testing.T, named map[string]*ast.StructType, s *ast.StructType) fields {
	own := fields{}
	for _, field := range s.Fields.List {
		var tag string
		if field.Tag != nil {
			text, _ := strconv.Unquote(field.Tag.Value)
			tag, _, _ = strings.Cut(reflect.StructTag(text).Get("json"), ",")
		}
		if len(field.Names) == 0 {
			maps.Copy(own, embedded(t, named, field.Type))
		}
		if tag != "" && tag != "-" {
			own[tag] = jsonType(field.Type)
		}
	}
	return own
}

// embedded returns the fields that a struct has from one that it embeds.
func embedded(t *testing.T, named map[string]*ast.StructType, kind ast.Expr) fields {
	switch kind := kind.(type) {
	case *ast.StarExpr:
		return embedded(t, named, kind.X)
	case *ast.Ident:
		if s := named[kind.Name]; s != nil {
			return fieldsOf(t, named, s)
		}
	case *ast.SelectorExpr:
		pkg := kind.X.(*ast.Ident).Name
		return structsOf(t, folderOf(pkg))[pkg+"."+kind.Sel.Name]
	}
	return nil
}

// folderOf is where the source of a package of ours is.
func folderOf(pkg string) string {
	if pkg == "wire" {
		return "../../wire"
	}
	return "../" + pkg
}

// jsonType returns "" where the syntax alone does not tell.
func jsonType(kind ast.Expr) string {
	switch kind := kind.(type) {
	case *ast.Ident:
		return map[string]string{
			"string": "string", "bool": "boolean", "float64": "number",
			"int": "integer", "int64": "integer", "uint64": "integer",
		}[kind.Name]
	case *ast.ArrayType:
		return "array"
	case *ast.MapType:
		return "object"
	}
	return ""
}

// answeredByOthers are the structs of other packages that requests and answers consist of.
var answeredByOthers = []string{
	"alert.Open", "alertlog.Record", "audit.Entry", "audit.Page", "auth.Revocation", "connadmin.Connection", "connadmin.FanOut",
	"instances.Drain", "instances.Info", "instances.Usage", "pairing.QR", "publishing.Request", "rebalance.Plan",
	"walls.Wall", "wire.Error",
}

// inParts are structs that openapi.yaml describes as one of several: a result is a position, which
// has no retained when something was published, or an error.
var inParts = []string{"api.result"}
