package apidocs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// root is the top of the repository.
const root = "../../.."

var (
	link       = regexp.MustCompile(`\]\(([^)\s]*[./#][^)\s]*)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	makeTarget = regexp.MustCompile("(?m)(?:^    |`)make ([a-z][a-z0-9-]*)")
	testName   = regexp.MustCompile("\\bTest[A-Z]\\w+")
)

// README and the documents name files, sections, make targets and tests that there are.
func TestDocumentsNameWhatThereIs(t *testing.T) {
	pages, err := filepath.Glob(root + "/docs/*.md")
	testkit.Must(t, err)
	targets, tests := text(t, root+"/Makefile"), allTests(t)
	for _, page := range append(pages, root+"/README.md", root+"/CHANGELOG.md") {
		content := text(t, page)
		for _, found := range link.FindAllStringSubmatch(content, -1) {
			if to := found[1]; !strings.Contains(to, "://") && !exists(t, page, to) {
				t.Errorf("%s links to %s, which there is not", page, to)
			}
		}
		for _, found := range makeTarget.FindAllStringSubmatch(content, -1) {
			if !strings.Contains(targets, "\n"+found[1]+":") {
				t.Errorf("%s names make %s, which there is not", page, found[1])
			}
		}
		for _, name := range testName.FindAllString(content, -1) {
			if !strings.Contains(tests, "func "+name) { // or a pattern of -run that it begins with
				t.Errorf("%s names %s, which there is not", page, name)
			}
		}
	}
}

// exists reports whether what a page links to is there, and its section if it names one.
func exists(t *testing.T, page, to string) bool {
	t.Helper()
	path, section, _ := strings.Cut(to, "#")
	if path != "" {
		page = filepath.Join(filepath.Dir(page), path)
	}
	if _, err := os.Stat(page); err != nil {
		return false
	}
	if section == "" {
		return true
	}
	for _, found := range heading.FindAllStringSubmatch(text(t, page), -1) {
		if anchor(found[1]) == section {
			return true
		}
	}
	return false
}

// anchor is what a heading is linked by, as GitHub makes it.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127:
			return r
		}
		return -1
	}, strings.ToLower(heading))
}

func allTests(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	testkit.Must(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "node_modules" || e.Name() == ".git"):
			return fs.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			all.WriteString(text(t, path))
		}
		return nil
	}))
	return all.String()
}

func text(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	testkit.Must(t, err)
	return string(content)
}
