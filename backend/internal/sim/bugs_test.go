//go:build !race

package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

var planted = flag.String("planted", "conflated-not-told,epoch-not-compared",
	"bugs to plant and to look for within -seeds, by their patches' names with commas; all for all of them")

const backend = "../.."

// A plantedBug is a patch, which breaks a promise: of one file, or of more where it is guarded
// twice.
type plantedBug struct {
	name  string
	files map[string]string // what they have with the bug, by their paths from backend
}

// plant applies a patch to the code as it is.
func plant(file string) (b plantedBug, err error) {
	patch, err := os.ReadFile(file)
	if err != nil {
		return b, err
	}
	b = plantedBug{strings.TrimSuffix(filepath.Base(file), ".patch"), map[string]string{}}
	for part := range strings.SplitSeq(strings.TrimPrefix(string(patch), "--- a/"), "\n--- a/") {
		head, hunks, ok := strings.Cut(part, "\n@@")
		_, path, named := strings.Cut(head, "\n+++ b/")
		if !ok || !named {
			return b, fmt.Errorf("%s is not a patch, as diff -u writes it with a/ and b/ before the paths from backend", file)
		}
		path = strings.TrimSpace(path)
		code, err := os.ReadFile(filepath.Join(backend, path))
		if err != nil {
			return b, fmt.Errorf("%s: %w", file, err)
		}
		text := string(code)
		for hunk := range strings.SplitSeq(hunks, "\n@@") {
			if text, err = change(text, hunk); err != nil {
				return b, fmt.Errorf("%s: %s: %w", file, path, err)
			}
		}
		b.files[path] = text
	}
	return b, nil
}

// change applies one hunk.
func change(text, hunk string) (string, error) {
	_, body, _ := strings.Cut(hunk, "\n")
	var before, after strings.Builder
	for line := range strings.Lines(body) {
		if line[0] != '+' {
			before.WriteString(line[1:])
		}
		if line[0] != '-' {
			after.WriteString(line[1:])
		}
	}
	old := strings.TrimSuffix(before.String(), "\n")
	if n := strings.Count(text, old); n != 1 {
		return "", fmt.Errorf("what it changes is there %d times, want once: make the patch anew\n%s", n, old)
	}
	return strings.Replace(text, old, strings.TrimSuffix(after.String(), "\n"), 1), nil
}

// bugs returns those of some names, or all.
func bugs(t *testing.T, names string) (found []plantedBug) {
	files, err := filepath.Glob("testdata/bugs/*.patch")
	testkit.Must(t, err)
	for _, file := range files {
		if b, err := plant(file); err != nil {
			t.Error(err)
		} else if names == "all" || slices.Contains(strings.Split(names, ","), b.name) {
			found = append(found, b)
		}
	}
	return found
}

// Each planted bug can be planted in the code as it is now, and there are at least 30.
func TestPlantedBugsApply(t *testing.T) {
	if n := len(bugs(t, "all")); n < 30 {
		t.Errorf("%d bugs can be planted, want 30", n)
	}
}

// Each bug of -planted is found within -seeds: two that are found soon, all with make
// simulate-bugs. The test is built anew with each of them, by an overlay: the code itself is not
// touched.
func TestPlantedBugsAreFound(t *testing.T) {
	all := bugs(t, *planted)
	if len(all) == 0 {
		t.Fatalf("there is no planted bug %q: see testdata/bugs", *planted)
	}
	missed := 0
	for _, b := range all {
		found, err := b.look(t)
		switch {
		case err != nil:
			missed++
			t.Errorf("%s: %v", b.name, err)
		case found == "":
			missed++
			t.Errorf("%-28s MISSED in %d seeds", b.name, *seeds)
		default:
			fmt.Printf("%-28s found: %.150s\n", b.name, found)
		}
	}
	fmt.Printf("%d of %d planted bugs found\n", len(all)-missed, len(all))
}

var foundAt = regexp.MustCompile(`seed \d+(: | stands still).*`)

// look builds the test with the bug, and runs its seeds until one fails.
func (b plantedBug) look(t *testing.T) (found string, err error) {
	dir := t.TempDir()
	replace := map[string]string{}
	for path, text := range b.files {
		code, err := filepath.Abs(filepath.Join(backend, path))
		testkit.Must(t, err)
		replace[code] = filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		testkit.Must(t, os.WriteFile(replace[code], []byte(text), 0o600))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	binary := filepath.Join(dir, "sim.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	run := exec.CommandContext(t.Context(), binary, "-test.run", "^TestSeeds$", "-first", fmt.Sprint(*first), "-seeds", fmt.Sprint(*seeds), "-failfirst",
		"-test.timeout", "10m")
	out, err := run.CombinedOutput()
	_ = os.Remove(binary) // there are many
	if err == nil {
		return "", nil
	}
	if found = foundAt.FindString(string(out)); found == "" {
		return "", fmt.Errorf("the simulation says nothing of a seed: %w\n%s", err, out)
	}
	return found, nil
}
