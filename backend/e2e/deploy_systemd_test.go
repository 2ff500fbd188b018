package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// systemd's own program finds nothing to complain about in the units, and the settings that they
// give are the program's.
func TestSystemdUnitsAreValid(t *testing.T) {
	testkit.NeedProgram(t, "systemd-analyze")
	program, err := filepath.Abs(os.Getenv(binaryVariable))
	testkit.Must(t, err)
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"zonecast.service", "zonecast.socket"} {
		text := strings.ReplaceAll(readFile(t, "deploy/systemd/"+name), "/usr/local/bin/zonecast", program)
		file := filepath.Join(dir, name)
		testkit.Must(t, os.WriteFile(file, []byte(text), 0o644))
		files = append(files, file)
	}
	if output, err := exec.Command("systemd-analyze", append([]string{"verify"}, files...)...).CombinedOutput(); err != nil || strings.Contains(string(output), dir) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, output)
	}

	service := readFile(t, "deploy/systemd/zonecast.service")
	for _, setting := range regexp.MustCompile(`\b([A-Z]+_?[A-Z]+)=`).FindAllStringSubmatch(regexp.MustCompile(`(?m)^Environment=.*`).FindString(service), -1) {
		if !strings.Contains(readFile(t, "docs/configuration.md"), "`"+setting[1]+"`") {
			t.Errorf("%s is no setting", setting[1])
		}
	}
	stop := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindStringSubmatch(service)
	if patience, err := time.ParseDuration(stop[1] + "s"); err != nil || patience <= 15*time.Second {
		t.Errorf("systemd kills after %v (%v), while leaving takes up to 15 s by default", patience, err)
	}
}
