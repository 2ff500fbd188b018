package config

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zonecast/zonecast/backend/internal/logging"
)

// A Change is a setting that has another value than before.
type Change struct {
	Name string // in the environment
	what string
}

// String tells what changed; of secrets only that they did.
func (c Change) String() string { return c.Name + c.what }

// reloadable are the settings that can be changed while the server runs, and which changes of them;
// nil for any.
var reloadable = map[string]func(before, after *Config) bool{
	"LOG_LEVEL":                   nil,
	"ALLOWED_ORIGINS":             nil,
	"AUTH_TOKEN_SECRET":           sameSecretsNeeded,
	"AUTH_TOKEN_SECRETS":          sameSecretsNeeded,
	"PUBLISH_KEYS":                func(a, b *Config) bool { return a.HasPublishKeys() == b.HasPublishKeys() },
	"RATE_LIMIT_TOKENS":           nil,
	"RATE_LIMIT_REFILL":           nil,
	"USER_RATE_LIMIT_TOKENS":      nil,
	"USER_RATE_LIMIT_REFILL":      nil,
	"ADDRESS_RATE_LIMIT_TOKENS":   nil,
	"ADDRESS_RATE_LIMIT_REFILL":   nil,
	"QUOTA_PUBLISH_RATE":          nil,
	"QUOTA_PUBLISH_BURST":         nil,
	"MAX_CONNECTIONS_PER_USER":    func(a, b *Config) bool { return (a.MaxConnectionsPerUser == 0) == (b.MaxConnectionsPerUser == 0) },
	"MAX_CONNECTIONS_PER_ADDRESS": func(a, b *Config) bool { return (a.MaxConnectionsPerAddress == 0) == (b.MaxConnectionsPerAddress == 0) },
}

// sameSecretsNeeded reports whether tokens are signed with secrets before and after: a server does
// not begin to ask for tokens while it runs, nor end it.
func sameSecretsNeeded(before, after *Config) bool {
	return (before.SigningSecret() == "") == (after.SigningSecret() == "")
}

// Reload returns the settings of a running server as they are after those that were read again:
// with the changes that can be made while it runs. It also says which these are, and which need a
// restart. The error says what to change in the settings.
func (c *Config) Reload(read *Config) (_ *Config, changed, restart []Change, err error) {
	if err := read.Check(); err != nil {
		return nil, nil, nil, err
	}
	merged, changed, restart := c.merge(read)
	// What changes and what stays have to go together, too.
	return merged, changed, restart, merged.Check()
}

// Reloadable are the names of the settings that can be changed while the server runs.
func Reloadable() []string { return slices.Sorted(maps.Keys(reloadable)) }

// merge returns c with those settings of read that can be changed, and what differs.
func (c *Config) merge(read *Config) (_ *Config, changed, restart []Change) {
	merged := *c
	now, then, target := flagsOf(c), flagsOf(read), flagsOf(&merged)
	for i, f := range now {
		before, value := f.Target.Interface(), then[i].Target.Interface()
		if len(f.Envs) == 0 || equal(before, value) {
			continue
		}
		change := Change{Name: f.Envs[0]}
		if !slices.ContainsFunc(f.Envs, isSecret) {
			change.what = fmt.Sprintf(": %v → %v", shown(before), shown(value))
		}
		if possible, ok := reloadable[f.Envs[0]]; ok && (possible == nil || possible(c, read)) {
			target[i].Target.Set(then[i].Target)
			changed = append(changed, change)
		} else {
			restart = append(restart, change)
		}
	}
	return &merged, changed, restart
}

// shown is a value as it may be logged.
func shown(value any) any {
	switch v := value.(type) {
	case string:
		return logging.URL(v)
	case *time.Duration:
		if v == nil {
			return "its default"
		}
		return *v
	}
	return value
}

func equal(a, b any) bool {
	if x := reflect.ValueOf(a); x.Kind() == reflect.Slice && x.Len() == 0 && reflect.ValueOf(b).Len() == 0 {
		return true // nil or not
	}
	return reflect.DeepEqual(a, b)
}

// flagsOf are the settings of c, always in one order.
func flagsOf(c *Config) []*kong.Flag {
	p := kong.Must(c) // which can't fail for a type that documentation is made of
	return slices.DeleteFunc(p.Model.Flags, func(f *kong.Flag) bool { return f.Name == "help" })
}

// WatchedFiles are the files of settings and secrets, by the setting that names them. Those which
// have a setting of their own (OPERATORS_FILE and its like) watch themselves.
func (c *Config) WatchedFiles() map[string]string {
	all, flags := map[string]string{}, flagsOf(c)
	given := &lookup{path: c.SettingsFile, mistakes: new(mistakes)}
	if c.SettingsFile != "" {
		all[settingsFileEnv] = c.SettingsFile
	}
	for _, f := range flags {
		name := secretFile(f, flags)
		if _, ok := reloadable[strings.TrimSuffix(name, "_FILE")]; !ok {
			continue
		}
		if path := given.value(name, flags); path != "" {
			if _, err := os.Stat(path); err == nil {
				all[name] = path
			}
		}
	}
	return all
}
