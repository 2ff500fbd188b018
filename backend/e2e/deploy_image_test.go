package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// An imageStage is one FROM of a Dockerfile with what follows it.
type imageStage struct {
	name  string
	steps []imageStep
}

type imageStep struct{ instruction, arguments string }

type dockerfile []imageStage

func (d dockerfile) final() imageStage { return d[len(d)-1] }

// all lists the arguments of each step with this instruction.
func (s imageStage) all(instruction string) []string {
	var found []string
	for _, step := range s.steps {
		if step.instruction == instruction {
			found = append(found, step.arguments)
		}
	}
	return found
}

func (s imageStage) one(t *testing.T, instruction string) string {
	t.Helper()
	found := s.all(instruction)
	if len(found) != 1 {
		t.Fatalf("deploy/Dockerfile has %d times %s in its stage %q, want 1", len(found), instruction, s.name)
	}
	return found[0]
}

func readDockerfile(t *testing.T) dockerfile {
	t.Helper()
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(readFile(t, "deploy/Dockerfile"), "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	var stages dockerfile
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if fields[0] == "FROM" {
			stages = append(stages, imageStage{name: fields[len(fields)-1]})
			continue
		}
		last := &stages[len(stages)-1]
		last.steps = append(last.steps, imageStep{fields[0], strings.Join(fields[1:], " ")})
	}
	return stages
}

func TestImageIsSmallAndHasNoRights(t *testing.T) {
	stages := readDockerfile(t)
	if got := stages.final().name; got != "scratch" {
		t.Errorf("the image is made from %s, want scratch", got)
	}
	if got := stages.final().one(t, "USER"); got == "0" || strings.HasPrefix(got, "root") || !regexp.MustCompile(`^\d+:\d+$`).MatchString(got) {
		t.Errorf("USER is %s: name numbers other than root's, because the image has no /etc/passwd", got)
	}
	if got, want := stages.final().one(t, "ENTRYPOINT"), `["/zonecast"]`; got != want {
		t.Errorf("ENTRYPOINT is %s, want %s", got, want)
	}
}

// The steps of the build stage are done here, one by one, in an empty folder: what they copy must
// be enough, and what they run must make a static program that knows its version.
func TestImageBuilds(t *testing.T) {
	root, rules := t.TempDir(), readIgnoreRules(t)
	inRoot := func(path, workdir string) string {
		if !filepath.IsAbs(path) {
			path = filepath.Join(workdir, path)
		}
		return filepath.Join(root, path)
	}
	environment := append(os.Environ(), "VERSION=9.8.7", "TARGETOS=", "TARGETARCH=")
	workdir := "/"
	for _, step := range readDockerfile(t)[0].steps {
		fields := strings.Fields(step.arguments)
		switch step.instruction {
		case "ENV":
			environment = append(environment, fields...)
		case "WORKDIR":
			workdir = fields[0]
			testkit.Must(t, os.MkdirAll(inRoot(workdir, "/"), 0o755))
		case "COPY":
			target := inRoot(fields[len(fields)-1], workdir)
			for _, source := range fields[:len(fields)-1] {
				copyIntoImage(t, rules, source, target)
			}
		case "RUN":
			script := regexp.MustCompile(`--mount=\S+ `).ReplaceAllString(step.arguments, "")
			script = strings.ReplaceAll(script, " /out/", " "+root+"/out/")
			command := exec.Command("sh", "-c", script)
			command.Dir, command.Env = inRoot(workdir, "/"), environment
			if output, err := command.CombinedOutput(); err != nil {
				t.Fatalf("RUN %s: %v\n%s", script, err, output)
			}
		case "ARG":
		default:
			t.Fatalf("the build stage has %s, which this test can't do", step.instruction)
		}
	}
	program := filepath.Join(root, "out", "zonecast")
	version, err := exec.Command(program, "--version").CombinedOutput()
	if err != nil || !strings.Contains(string(version), "9.8.7") {
		t.Errorf("zonecast --version prints %q, %v; want it to contain the build argument VERSION", version, err)
	}
	headers, err := os.ReadFile(program)
	testkit.Must(t, err)
	if strings.Contains(string(headers[:4096]), "/ld-linux") {
		t.Error("the program needs a dynamic linker, which the image has not")
	}
}

// copyIntoImage does COPY for one source: a file goes into the target folder, a folder's content
// becomes the target's. What .dockerignore keeps out stays out.
func copyIntoImage(t *testing.T, rules ignoreRules, source, target string) {
	t.Helper()
	from := filepath.Join(repository, source)
	err := filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(repository, path)
		if err != nil {
			return err
		}
		if rules.keepOut(relative) {
			if entry.IsDir() && !rules.takeBackBelow(relative) {
				return filepath.SkipDir
			}
			return nil
		}
		if entry.IsDir() {
			return nil
		}
		below, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if below == "." {
			below = filepath.Base(source)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		into := filepath.Join(target, below)
		if err := os.MkdirAll(filepath.Dir(into), 0o755); err != nil {
			return err
		}
		return os.WriteFile(into, text, 0o644)
	})
	if err != nil {
		t.Fatalf("COPY %s: %v", source, err)
	}
}

// ignoreRules are the lines of .dockerignore: the last one that matches decides.
type ignoreRules []ignoreRule

type ignoreRule struct {
	pattern string
	matches *regexp.Regexp
	back    bool // takes back what an earlier rule kept out
}

func readIgnoreRules(t *testing.T) ignoreRules {
	t.Helper()
	var rules ignoreRules
	for line := range strings.Lines(readFile(t, ".dockerignore")) {
		pattern := strings.TrimSpace(line)
		if pattern == "" || strings.HasPrefix(pattern, "#") {
			continue
		}
		pattern, back := strings.CutPrefix(pattern, "!")
		expression := regexp.QuoteMeta(pattern)
		expression = strings.ReplaceAll(expression, `\*\*/`, `(.*/)?`)
		expression = strings.ReplaceAll(expression, `\*`, `[^/]*`)
		// A folder that matches takes along what lies below it.
		rules = append(rules, ignoreRule{pattern, regexp.MustCompile(`^` + expression + `(/.*)?$`), back})
	}
	return rules
}

// takeBackBelow reports whether something in a folder that is kept out may not be.
func (rules ignoreRules) takeBackBelow(folder string) bool {
	return slices.ContainsFunc(rules, func(r ignoreRule) bool { return r.back && strings.HasPrefix(r.pattern, folder+"/") })
}

func (rules ignoreRules) keepOut(path string) bool {
	out := false
	for _, rule := range rules {
		if rule.matches.MatchString(path) {
			out = !rule.back
		}
	}
	return out
}
