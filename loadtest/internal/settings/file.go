package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// maxFile is the longest scenario file in bytes.
const maxFile = 1 << 20

// A file is a scenario file: settings by the names of their flags, its name and its subject.
type file struct {
	path        string
	name, about string
	values      map[string]string
	used        []string // the names of the values that were asked for
}

var _ kong.Resolver = (*file)(nil)

// fileName finds the scenario file's name before the flags are read, which may come from it.
func fileName(args []string) string {
	for i, arg := range args {
		for _, flag := range []string{"--file", "-f"} {
			if value, ok := strings.CutPrefix(arg, flag+"="); ok {
				return value
			}
			if arg == flag && i+1 < len(args) {
				return args[i+1]
			}
		}
	}
	return os.Getenv("SCENARIO_FILE")
}

// open reads a file; an empty name is none.
func (f *file) open(path string) error {
	if path == "" {
		return nil
	}
	f.path = path
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("--file (SCENARIO_FILE): %w: name a scenario file that is there", err)
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New("it is longer than 1 MiB")
	}
	if err != nil {
		return fmt.Errorf("scenario file %s: %w", path, err)
	}
	if err := f.parse(text); err != nil {
		return fmt.Errorf("scenario file %s: %w", path, err)
	}
	return nil
}

func (f *file) parse(text []byte) error {
	var values map[string]any
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&values); err != nil && !errors.Is(err, io.EOF) { // an empty file says nothing
		return fmt.Errorf("%s: write one setting a line, like connections: 1000", oneLine(err))
	}
	if err := decoder.Decode(&values); !errors.Is(err, io.EOF) {
		return errors.New("it goes on after a line with ---: write one scenario in each file")
	}
	f.values = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value, err := scalar(values[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		switch name {
		case "name":
			f.name = value
		case "about":
			f.about = strings.TrimSpace(value)
		default:
			f.values[name] = value
		}
	}
	return nil
}

// oneLine returns an error of YAML, which may be several, as one line.
func oneLine(err error) string {
	var several *yaml.TypeError
	if errors.As(err, &several) {
		return strings.Join(several.Errors, "; ")
	}
	return err.Error()
}

// scalar returns a value as a flag is given it; a list becomes its items with commas between them.
func scalar(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case []any:
		var items []string
		for _, item := range v {
			text, err := scalar(item)
			if err != nil {
				return "", err
			}
			items = append(items, text)
		}
		return strings.Join(items, ","), nil
	case map[string]any:
		return "", errors.New("a list or a single value belongs here, not settings of its own")
	}
	return fmt.Sprint(value), nil
}

// Validate implements [kong.Resolver]: every name in the file must be a setting's.
func (f *file) Validate(app *kong.Application) error {
	known := map[string]bool{}
	var names []string
	for _, flag := range app.Flags {
		if flag.Name != "help" && flag.Name != "file" {
			known[flag.Name] = true
			names = append(names, flag.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.values)) {
		if !known[name] {
			return fmt.Errorf("scenario file %s: there is no setting %s; there are %s", f.path, name, strings.Join(names, ", "))
		}
	}
	return nil
}

// Resolve is asked for flags that were not given; the environment goes before the file.
func (f *file) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs {
		if _, ok := os.LookupEnv(env); ok {
			return nil, nil
		}
	}
	value, ok := f.values[flag.Name]
	if !ok {
		return nil, nil
	}
	f.used = append(f.used, flag.Name)
	return value, nil
}

// nameFile says that the file is wrong, if one of its values is what the error begins with.
func (f *file) nameFile(err error) error {
	text := strings.TrimPrefix(err.Error(), "--")
	for _, name := range f.used {
		if rest, ok := strings.CutPrefix(text, name); ok && (strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, " ")) {
			return fmt.Errorf("scenario file %s: %s", f.path, text)
		}
	}
	return err
}

// nameFileInEach does so for each of several errors.
func (f *file) nameFileInEach(err error) error {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var blamed []error
	for _, one := range several.Unwrap() {
		blamed = append(blamed, f.nameFile(one))
	}
	return errors.Join(blamed...)
}
