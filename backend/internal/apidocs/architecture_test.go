package apidocs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// What docs/architecture.md answers under "Where to look" stands where it says.
func TestWhatTheIndexOfTheCodeNamesExists(t *testing.T) {
	text, err := os.ReadFile(root + "/docs/architecture.md")
	testkit.Must(t, err)
	_, index, found := strings.Cut(string(text), "\n## Where to look\n")
	if !found {
		t.Fatal("docs/architecture.md has no index")
	}
	index, _, _ = strings.Cut(index, "\n## ")
	if rows := strings.Count(index, "\n| "); rows < 12 {
		t.Fatalf("the index has %d rows", rows)
	}
	named := regexp.MustCompile("`([\\w.]+)` in `([\\w./-]+)`").FindAllStringSubmatch(index, -1)
	if files := regexp.MustCompile("`[\\w./-]+\\.(go|ts)`").FindAllString(index, -1); len(files) != len(named) {
		t.Errorf("of %d files, %d say what to look at: write `name` in `file`", len(files), len(named))
	}
	for _, n := range named {
		if name, file := n[1], n[2]; !slices.Contains(declared(t, filepath.Join(root, file)), name) {
			t.Errorf("%s does not declare %s", file, name)
		}
	}
}

// Each package of the server has its line in docs/architecture.md.
func TestEachPackageSaysWhatItPromises(t *testing.T) {
	text, err := os.ReadFile(root + "/docs/architecture.md")
	testkit.Must(t, err)
	packages, err := filepath.Glob("../*")
	testkit.Must(t, err)
	for _, path := range packages {
		if name := "`internal/" + filepath.Base(path) + "`"; !regexp.MustCompile(`(?m)^\| .*` + name + `.* \| \w`).Match(text) {
			t.Errorf("%s has no line", name)
		}
	}
	if len(packages) < 40 {
		t.Errorf("only %d packages", len(packages))
	}
}

// declared returns what a file declares at its top, methods as Type.Method.
func declared(t *testing.T, path string) (all []string) {
	t.Helper()
	if strings.HasSuffix(path, ".ts") {
		text, err := os.ReadFile(path)
		testkit.Must(t, err)
		for _, m := range regexp.MustCompile(`\b(?:const|function) (\w+)`).FindAllStringSubmatch(string(text), -1) {
			all = append(all, m[1])
		}
		return all
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	testkit.Must(t, err)
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			all = append(all, receiver(d)+d.Name.Name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					all = append(all, s.Name.Name)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						all = append(all, name.Name)
					}
				}
			}
		}
	}
	return all
}

// receiver returns the type that a method is of and a dot; nothing for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	of := d.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	return of.(*ast.Ident).Name + "."
}
