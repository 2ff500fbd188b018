package config

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// maxSecretFile bounds the bytes of a file with a secret.
const maxSecretFile = 64 << 10

// isSecret reports whether what a variable of the environment holds is nobody's business, which its
// name tells. Each such setting can be read from the file that NAME_FILE names as well.
func isSecret(env string) bool {
	return env == "REDIS_URL" || slices.ContainsFunc([]string{"_SECRET", "_SECRETS", "_PASSWORD", "_KEYS", "_PINS"}, func(end string) bool {
		return strings.HasSuffix(env, end)
	})
}

// secretFile returns the variable that names the file of a secret setting; empty for other
// settings, and where a setting of its own has that name.
func secretFile(flag *kong.Flag, all []*kong.Flag) string {
	i := slices.IndexFunc(flag.Envs, isSecret)
	if i < 0 {
		return ""
	}
	name := flag.Envs[i] + "_FILE"
	if slices.ContainsFunc(all, func(f *kong.Flag) bool { return slices.Contains(f.Envs, name) }) {
		return ""
	}
	return name
}

// secretsFromFiles makes kong read secrets from the files that the environment names. Mistakes are
// added to those of the other values.
func secretsFromFiles(m *mistakes, given *lookup) kong.Option {
	read := map[string]bool{} // variables that were reported; several commands have the same settings
	return kong.Resolvers(kong.ResolverFunc(func(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
		name := secretFile(flag, parent.Flags)
		path := given.value(name, parent.Flags)
		if name == "" || path == "" {
			return nil, nil
		}
		text, err := readSecret(path)
		if slices.ContainsFunc(flag.Envs, func(env string) bool { return os.Getenv(env) != "" }) {
			err = givenTwice(flag)
		}
		if err != nil {
			if !read[name] {
				*m = append(*m, fmt.Errorf("%s: %w", name, err))
			}
			read[name] = true
			return nil, nil
		}
		if flag.IsSlice() { // one a line, or separated by commas
			text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), ",")
		}
		return text, nil
	}))
}

func givenTwice(flag *kong.Flag) error {
	return fmt.Errorf("--%s (%s) is given as well: give one of them", flag.Name, strings.Join(flag.Envs, ", "))
}

// secretsGivenTwice finds secrets that are given on the command line and in a file, which kong does
// not ask for then.
func secretsGivenTwice(node *kong.Node, args []string) (all []error) {
	for _, flag := range node.Flags {
		name := secretFile(flag, node.Flags)
		if name != "" && os.Getenv(name) != "" && slices.ContainsFunc(args, func(a string) bool {
			return a == "--"+flag.Name || strings.HasPrefix(a, "--"+flag.Name+"=")
		}) {
			all = append(all, fmt.Errorf("%s: %w", name, givenTwice(flag)))
		}
	}
	for _, child := range node.Children {
		if found := secretsGivenTwice(child, args); len(all) == 0 { // commands have the same settings
			all = found
		}
	}
	return all
}

// readSecret reads a file without the line end that editors add.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	p = bytes.TrimRight(p, "\r\n")
	switch {
	case err != nil:
		return "", err
	case len(p) > maxSecretFile:
		return "", fmt.Errorf("%s has more than %d bytes: is it the right file?", path, maxSecretFile)
	case len(p) == 0:
		return "", fmt.Errorf("%s is empty: write the secret into it", path)
	}
	return string(p), nil
}
