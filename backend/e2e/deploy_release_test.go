package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// Two releases of one commit are the same bytes, whatever the folder, and the program in them knows
// its version.
func TestReleasesAreReproducible(t *testing.T) {
	release := func() (folder string, archive []byte) {
		folder = t.TempDir()
		testkit.Must(t, os.Mkdir(filepath.Join(folder, "sbom"), 0o700))
		testkit.Must(t, os.WriteFile(filepath.Join(folder, "sbom", "backend.cdx.json"), []byte("{}"), 0o600))
		command := exec.Command("bash", filepath.Join(repository, "deploy", "release.sh"), "1.2.3-test", folder, "linux/amd64")
		command.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000", "TMPDIR="+t.TempDir())
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		archive, err := os.ReadFile(filepath.Join(folder, "zonecast-1.2.3-test-linux-amd64.tar.gz"))
		testkit.Must(t, err)
		return folder, archive
	}
	folder, first := release()
	if _, second := release(); !bytes.Equal(first, second) {
		t.Error("two releases differ")
	}
	for _, command := range []string{
		"sha256sum -c SHA256SUMS && grep -q ' sbom/backend.cdx.json$' SHA256SUMS",
		"tar xzf zonecast-1.2.3-test-linux-amd64.tar.gz",
		"file=zonecast-1.2.3-test-linux-amd64; [ -s $file/LICENSE ] && [ -s $file/CHANGELOG.md ]",
	} {
		check := exec.Command("sh", "-c", command)
		check.Dir = folder
		if output, err := check.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, output)
		}
	}
	program := filepath.Join(folder, "zonecast-1.2.3-test-linux-amd64", "zonecast")
	if version, err := exec.Command(program, "--version").Output(); err != nil || !strings.HasPrefix(string(version), "zonecast 1.2.3-test ") {
		t.Errorf("--version prints %q, %v", version, err)
	}
	text, err := os.ReadFile(program)
	testkit.Must(t, err)
	here, err := filepath.Abs(repository)
	testkit.Must(t, err)
	if bytes.Contains(text, []byte(here)) {
		t.Errorf("the program names %s", here)
	}
}
