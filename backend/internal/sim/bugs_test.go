package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

var planted = flag.String("planted", "", "bugs to plant and to look for, by their patches' names with commas; all for all of them")

const backend = "../.."

// patched applies a patch of one file and returns the file's path and new text.
func patched(patch string) (path, text string, err error) {
	head, hunks, _ := strings.Cut(patch, "\n@@")
	_, path, _ = strings.Cut(head, "\n+++ b/")
	path = strings.TrimSpace(path)
	p, err := os.ReadFile(filepath.Join(backend, path))
	if err != nil {
		return "", "", fmt.Errorf("read what is to be patched: %w", err)
	}
	text = string(p)
	for hunk := range strings.SplitSeq(hunks, "\n@@") {
		_, body, _ := strings.Cut(hunk, "\n")
		var before, after strings.Builder
		for line := range strings.Lines(body) {
			switch line[0] {
			case '-':
				before.WriteString(line[1:])
			case '+':
				after.WriteString(line[1:])
			default:
				before.WriteString(line[1:])
				after.WriteString(line[1:])
			}
		}
		old, changed := strings.TrimSuffix(before.String(), "\n"), strings.TrimSuffix(after.String(), "\n")
		if strings.Count(text, old) != 1 {
			return "", "", fmt.Errorf("%s has changed: make the patch anew. It looks for\n%s", path, old)
		}
		text = strings.Replace(text, old, changed, 1)
	}
	return path, text, nil
}

func patches(t *testing.T) (files []string) {
	files, err := filepath.Glob("bugs/*.patch")
	testkit.Must(t, err)
	if len(files) == 0 {
		t.Fatal("there is no patch in bugs")
	}
	return files
}

// Each planted bug can be planted in the code as it is now.
func TestPlantedBugsApply(t *testing.T) {
	for _, file := range patches(t) {
		p, err := os.ReadFile(file)
		testkit.Must(t, err)
		if _, _, err := patched(string(p)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// Each planted bug of -planted is found within -seeds. The code is built anew for each of them.
func TestPlantedBugsAreFound(t *testing.T) {
	dir := t.TempDir()
	for _, file := range patches(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".patch")
		if *planted != "all" && !strings.Contains(","+*planted+",", ","+name+",") {
			continue
		}
		p, err := os.ReadFile(file)
		testkit.Must(t, err)
		path, text, err := patched(string(p))
		testkit.Must(t, err)
		here, err := filepath.Abs(filepath.Join(backend, path))
		testkit.Must(t, err)
		overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{here: filepath.Join(dir, name+".go")}})
		testkit.Must(t, err)
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name+".go"), []byte(text), 0o600))
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name+".json"), overlay, 0o600))
		binary := filepath.Join(dir, name)
		if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", filepath.Join(dir, name+".json"), "-o", binary, ".").CombinedOutput(); err != nil {
			t.Errorf("%s does not build: %v\n%s", name, err, out)
			continue
		}
		out, err := exec.CommandContext(t.Context(), binary, "-test.run", "TestSeeds", "-seeds", fmt.Sprint(*seeds), "-failfirst", "-test.timeout", "5m").CombinedOutput()
		found := ""
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "seed ") || strings.HasPrefix(line, "panic") {
				found = strings.TrimSpace(line)
				break
			}
		}
		if err == nil {
			t.Errorf("%s is not found in %d seeds", name, *seeds)
		} else {
			fmt.Printf("%-28s %.160s\n", name, found)
		}
		_ = os.Remove(binary) // there are many
	}
}
