package config

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// File has the file of further settings.
type File struct {
	SettingsFile string `env:"SETTINGS_FILE" placeholder:"FILE" help:"File of settings, a line each: NAME=VALUE with the names of the environment; what begins with # is a comment. Flags and the environment take precedence. Read again when it changes, and on SIGHUP: what can't be changed while the server runs is named in the log, and stays."`
}

const settingsFileEnv = "SETTINGS_FILE"

// A lookup finds values in the environment, and in the file of settings behind it.
type lookup struct {
	path     string // of the file; empty for none
	mistakes *mistakes
	file     map[string]string // what it says; nil before it was read
}

// newLookup returns one for the file that arguments or the environment name.
func newLookup(args []string, m *mistakes) *lookup {
	const flag = "--settings-file"
	l := &lookup{path: os.Getenv(settingsFileEnv), mistakes: m}
	for i, a := range args {
		if value, ok := strings.CutPrefix(a, flag+"="); ok {
			l.path = value
		} else if a == flag && i+1 < len(args) {
			l.path = args[i+1]
		}
	}
	return l
}

// value returns the value of a variable, for a command with these flags; empty for none.
func (l *lookup) value(name string, flags []*kong.Flag) string {
	return cmp.Or(os.Getenv(name), l.ofFile(flags)[name])
}

// option makes kong read settings from the file where neither flag nor environment has them.
func (l *lookup) option() kong.Option {
	return kong.Resolvers(kong.ResolverFunc(func(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
		for _, name := range flag.Envs {
			if os.Getenv(name) != "" {
				return nil, nil
			}
			if value, ok := l.ofFile(parent.Flags)[name]; ok {
				return value, nil
			}
		}
		return nil, nil
	}))
}

// ofFile reads the file, once, for a command that has the setting. What is wrong with it is among
// the mistakes.
func (l *lookup) ofFile(flags []*kong.Flag) map[string]string {
	if l.path == "" || l.file != nil || !slices.ContainsFunc(flags, func(f *kong.Flag) bool { return slices.Contains(f.Envs, settingsFileEnv) }) {
		return l.file
	}
	l.file = map[string]string{}
	text, err := os.ReadFile(l.path)
	if err != nil {
		l.mistake("%w: name a file of lines NAME=VALUE that can be read", err)
		return l.file
	}
	known := map[string]bool{}
	for _, f := range flags {
		for _, name := range f.Envs {
			known[name] = name != settingsFileEnv
		}
		known[secretFile(f, flags)] = true
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxSecretFile)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		_, twice := l.file[name]
		switch {
		case !ok:
			l.mistake("%s, line %d is not NAME=VALUE", l.path, n)
		case !known[name]:
			l.mistake("%s, line %d: %.60q is no setting that can stand there: see zonecast serve --help for their names", l.path, n, name)
		case twice:
			l.mistake("%s, line %d: %s is there twice: leave one of them out", l.path, n, name)
		default:
			l.file[name] = unquote(value)
		}
	}
	if err := lines.Err(); err != nil {
		l.mistake("%s: %w", l.path, err)
	}
	return l.file
}

func (l *lookup) mistake(format string, args ...any) {
	*l.mistakes = append(*l.mistakes, fmt.Errorf(settingsFileEnv+": "+format, args...))
}

// unquote takes the quotes away that shells and systemd allow around a value.
func unquote(value string) string {
	for _, quote := range []string{`"`, `'`} {
		if len(value) >= 2 && strings.HasPrefix(value, quote) && strings.HasSuffix(value, quote) {
			return value[1 : len(value)-1]
		}
	}
	return value
}
