//go:build go1.26

package publish

import (
	"archive/zip"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// version is that of all modules, as publish/go.mod asks for it.
const version = "v0.1.0"

// Whoever publishes and subscribes gets these two packages and wire, and nothing else: no other
// module, and no newer Go than these need.
func TestADependentGetsTheseModulesAloneAndKeepsItsGo(t *testing.T) {
	proxy := t.TempDir()
	for _, folder := range []string{".", "../subscribe", "../wire"} {
		must(t, serveModule(proxy, folder))
	}
	app := t.TempDir()
	must(t, os.WriteFile(filepath.Join(app, "go.mod"), []byte("module example.com/app\n\ngo 1.24\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(app, "main.go"), []byte(`package main

import (
	"github.com/zonecast/zonecast/backend/publish"
	"github.com/zonecast/zonecast/backend/subscribe"
)

func main() {
	_, _ = publish.New("http://127.0.0.1:3001")
	_, _ = subscribe.New("http://127.0.0.1:3001", []string{"warehouse:w"})
}
`), 0o600))
	run := func(args ...string) string {
		t.Helper()
		c := exec.Command("go", args...)
		c.Dir = app
		c.Env = append(os.Environ(), "GOPROXY=file://"+filepath.ToSlash(proxy), "GOSUMDB=off", "GOWORK=off", "GOFLAGS=-mod=mod -modcacherw",
			"GOTOOLCHAIN=local", "GOMODCACHE="+filepath.Join(app, "cache"))
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	const modules = "github.com/zonecast/zonecast/backend/"
	run("get", modules+"publish@"+version, modules+"subscribe@"+version)
	run("build", "./...")
	run("mod", "tidy")
	want := "example.com/app\n"
	for _, name := range []string{"publish", "subscribe", "wire"} {
		want += modules + name + " " + version + "\n"
	}
	if got := run("list", "-m", "all"); got != want {
		t.Errorf("modules:\n%swant:\n%s", got, want)
	}
	if got := strings.TrimSpace(run("list", "-m", "-f", "{{.GoVersion}}")); got != "1.24" {
		t.Errorf("the module that uses it is forced to Go %s", got)
	}
}

// serveModule puts the module in a folder into a module proxy made of files.
func serveModule(proxy, folder string) error {
	mod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		return err
	}
	path := strings.Fields(string(mod))[1]
	dir := filepath.Join(proxy, filepath.FromSlash(path), "@v")
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, text := range map[string]string{version + ".mod": string(mod), "list": version + "\n",
		version + ".info": fmt.Sprintf(`{"Version":%q}`, version)} {
		if err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	file, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		return err
	}
	defer file.Close()
	archive := zip.NewWriter(file)
	err = fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		w, err := archive.Create(path + "@" + version + "/" + name)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	return archive.Close()
}
