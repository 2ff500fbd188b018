package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// Each setting that was changed is either taken over, if it is one of those that can be, or stays
// and is named as one that needs a restart.
func TestEachChangedSettingIsTakenOverOrNamed(t *testing.T) {
	before := new(config.Config)
	_, err := config.Parse(before, []string{"--max-connections-per-user=5", "--max-connections-per-address=5", "--publish-keys=0123456789abcdef",
		"--auth-token-secret=" + strings.Repeat("s", 32)})
	testkit.Must(t, err)
	reloadable := config.Reloadable()
	for i, f := range kong.Must(before).Model.Flags {
		if f.Name == "help" {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			read := *before
			change(t, kong.Must(&read).Model.Flags[i].Target)
			after, changed, restart := before.Merge(&read)
			if said := fmt.Sprint(changed, restart); secretName.MatchString(f.Envs[0]) && regexp.MustCompile("0123|fedc").MatchString(said) {
				t.Errorf("%s tells the secret", said)
			}
			if slices.Contains(reloadable, f.Envs[0]) {
				if len(changed) != 1 || changed[0].Name != f.Envs[0] || len(restart) > 0 || !reflect.DeepEqual(*after, read) {
					t.Errorf("changed %v, restart %v; want it taken over", changed, restart)
				}
				return
			}
			if len(changed) > 0 || len(restart) != 1 || restart[0].Name != f.Envs[0] || !reflect.DeepEqual(after, before) {
				t.Errorf("changed %v, restart %v; want it named as one that needs a restart", changed, restart)
			}
		})
	}
}

// secretName is that of a setting whose values nobody is told.
var secretName = regexp.MustCompile(`(SECRETS?|PASSWORD|KEYS|PINS)$|^REDIS_URL$`)

// A change of a URL is told without what may be a secret in it.
func TestChangedURLsAreToldWithoutLoginAndQuery(t *testing.T) {
	before, read := new(config.Config), new(config.Config)
	read.AuthURL, read.AuthJWKSURL, read.TracesEndpoint = "https://u:hush@a/p?key=hush", "https://u:hush@b/p", "https://u:hush@c?k=hush"
	_, _, restart := before.Merge(read)
	said := fmt.Sprint(restart)
	if len(restart) != 3 || strings.Contains(said, "hush") || !strings.Contains(said, "https://a/p") {
		t.Errorf("got %s", said)
	}
}

// change gives a setting another value.
func change(t *testing.T, target reflect.Value) {
	t.Helper()
	switch v := target.Addr().Interface().(type) {
	case *string:
		*v += "0123456789abcdef"
	case *[]string:
		*v = append(slices.Clone(*v), "fedcba9876543210")
	case *int:
		*v++
	case *uint64:
		*v++
	case *float64:
		*v++
	case *bool:
		*v = !*v
	case *time.Duration:
		*v += time.Second
	case **time.Duration:
		*v = new(time.Second)
	default:
		t.Fatalf("%T: tell this test how to change it", v)
	}
}

// A limit or a check that there was not can't begin while the server runs, nor one end: nobody was
// counted or asked before.
func TestWhatBeginsOrEndsNeedsARestart(t *testing.T) {
	secret := "--auth-token-secret=" + strings.Repeat("s", 32)
	for _, tt := range []struct {
		name          string
		before, after []string
		want          string
	}{
		{"tokens", nil, []string{secret}, "AUTH_TOKEN_SECRET"},
		{"no tokens", []string{secret}, nil, "AUTH_TOKEN_SECRET"},
		{"keys", nil, []string{"--publish-keys=0123456789abcdef"}, "PUBLISH_KEYS"},
		{"a limit by user", []string{secret}, []string{secret, "--max-connections-per-user=1"}, "MAX_CONNECTIONS_PER_USER: 0 → 1"},
		{"no limit by address", []string{"--max-connections-per-address=1"}, nil, "MAX_CONNECTIONS_PER_ADDRESS: 1 → 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, err := parse(t, tt.before...)
			testkit.Must(t, err)
			read, err := parse(t, tt.after...)
			testkit.Must(t, err)
			_, changed, restart, err := before.Reload(read)
			if err != nil || len(changed) > 0 || len(restart) != 1 || restart[0].String() != tt.want {
				t.Errorf("changed %v, restart %v, %v; want %s to need a restart", changed, restart, err, tt.want)
			}
		})
	}
}

// A file of settings counts behind flags and environment, and what is wrong with it is said with
// its line; secrets that were changed are named and never shown.
func TestSettingsAreReadFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "settings")
	write := func(text string) { testkit.Must(t, os.WriteFile(path, []byte(text), 0o600)) }
	t.Setenv("SETTINGS_FILE", path)
	t.Setenv("HISTORY_AGE", "5m")
	secret := strings.Repeat("s", 32)
	write("# comment\n\nHISTORY_AGE=1m\nHISTORY_MESSAGES = 7\nLOG_LEVEL=\"debug\"\nALLOWED_ORIGINS=https://a.example,https://b.example\nAUTH_TOKEN_SECRET=" + secret + "\n")
	c, err := parse(t, "--log-level=warn")
	testkit.Must(t, err)
	if c.HistoryAge != 5*time.Minute || c.HistoryMessages != 7 || c.LogLevel != "warn" || len(c.AllowedOrigins) != 2 || c.AuthTokenSecret != secret {
		t.Errorf("read %v %d %s %v", c.HistoryAge, c.HistoryMessages, c.LogLevel, c.AllowedOrigins)
	}
	write("AUTH_TOKEN_SECRET=" + strings.Repeat("n", 32))
	read, err := parse(t)
	testkit.Must(t, err)
	_, changed, _, err := c.Reload(read)
	if err != nil || len(changed) == 0 || strings.Contains(changed[0].String()+changed[len(changed)-1].String(), "nnn") {
		t.Errorf("changed %v, %v", changed, err)
	}
	for give, want := range map[string]string{
		"LOG_LEVEL":                      "line 1 is not NAME=VALUE",
		"\nLOGLEVEL=debug":               `line 2: "LOGLEVEL" is no setting`,
		"LOG_LEVEL=info\nLOG_LEVEL=warn": "line 2: LOG_LEVEL is there twice",
		"SETTINGS_FILE=x":                "no setting that can stand there",
		"HISTORY_MESSAGES=many":          "--history-messages (HISTORY_MESSAGES): ",
		"LOG_LEVEL=loud":                 `--log-level "loud" is not one of`,
	} {
		write(give)
		if _, err := parse(t); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", give, err, want)
		}
	}
	testkit.Must(t, os.Remove(path))
	if _, err := parse(t); err == nil || !strings.Contains(err.Error(), "SETTINGS_FILE: open "+path) {
		t.Errorf("without the file: %v", err)
	}
}
