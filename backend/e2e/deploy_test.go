package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// backends are the instances of the stack. (deploy/tools/compose holds docker-compose.yml to the
// other files, and to the programs.)
var backends = []string{"backend-1", "backend-2", "backend-3"}

// Settings that the image and the files of Redis and Prometheus name are the program's own ones.
func TestSettingsExist(t *testing.T) {
	documented := readFile(t, "docs/configuration.md")
	used := map[string]string{}
	for _, line := range readDockerfile(t).final().all("ENV") {
		variable, _, _ := strings.Cut(line, "=")
		used[variable] = "deploy/Dockerfile"
	}
	for _, file := range []string{"deploy/prometheus/rules.yml", "deploy/redis/redis.conf"} {
		for _, variable := range regexp.MustCompile(`\b[A-Z]+_[A-Z_]+\b`).FindAllString(readFile(t, file), -1) {
			used[variable] = file
		}
	}
	for variable, file := range used {
		if !strings.Contains(documented, "`"+variable+"`") {
			t.Errorf("%s uses %s, which docs/configuration.md does not know", file, variable)
		}
	}
}

func readYAML[T any](t *testing.T, name string) (content T) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readFile(t, name)), &content); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return content
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, name))
	testkit.Must(t, err)
	return string(text)
}
