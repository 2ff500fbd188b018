package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// Each secret can be read from a file; the line end that an editor adds is none of it.
func TestSecretsAreReadFromFiles(t *testing.T) {
	directory := t.TempDir()
	file := func(name, text string) {
		path := filepath.Join(directory, name)
		testkit.Must(t, os.WriteFile(path, []byte(text), 0o600))
		t.Setenv(name+"_FILE", path)
	}
	const one, two = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	file("AUTH_TOKEN_SECRET", one+"\n")
	file("AUTH_TOKEN_SECRETS", one+"\r\n"+two+"\n")
	file("OPERATOR_PASSWORD", " with spaces \n")
	file("CLUSTER_SECRET", two+"\n"+one+"\n")
	file("REDIS_URL", "redis://user@127.0.0.1:6379/0\n")
	file("REDIS_PASSWORD", "p@ss/word#1\n")
	c, err := parse(t)
	testkit.Must(t, err)
	if c.AuthTokenSecret != one || !slices.Equal(c.AuthTokenSecrets, []string{one, two}) || c.OperatorPassword != " with spaces " ||
		!slices.Equal(c.ClusterSecret, []string{two, one}) || c.RedisAddress() != "redis://user:p%40ss%2Fword%231@127.0.0.1:6379/0" {
		t.Errorf("got %+v, Redis at %s", c, c.RedisAddress())
	}
}

// A secret that can't be read says why, and never what it is.
func TestMistakesInSecretsSayWhatToChange(t *testing.T) {
	const hidden = "hidden-7f3a"
	path := filepath.Join(t.TempDir(), "secret")
	testkit.Must(t, os.WriteFile(path, []byte(hidden+"\n"), 0o600))
	empty := filepath.Join(t.TempDir(), "empty")
	testkit.Must(t, os.WriteFile(empty, []byte("\n"), 0o600))
	large := filepath.Join(t.TempDir(), "large")
	testkit.Must(t, os.WriteFile(large, []byte(strings.Repeat(hidden, 10_000)), 0o600))
	for _, tt := range []struct {
		name string
		env  map[string]string
		args []string
		want string
	}{
		{"too short", map[string]string{"AUTH_TOKEN_SECRET_FILE": path}, nil, "at least 32 are needed"},
		{"a cluster's too short", map[string]string{"CLUSTER_SECRET_FILE": path}, nil, "CLUSTER_SECRET has 11 bytes"},
		{"twice", map[string]string{"OPERATOR_PASSWORD_FILE": path, "OPERATOR_PASSWORD": hidden}, nil, "give one of them"},
		{"twice, by flag", map[string]string{"OPERATOR_PASSWORD_FILE": path}, []string{"--operator-password", hidden}, "give one of them"},
		{"twice for Redis", map[string]string{"REDIS_PASSWORD_FILE": path, "REDIS_URL": "redis://:" + hidden + "@127.0.0.1"}, nil, "leave one of them out"},
		{"for no Redis", map[string]string{"REDIS_PASSWORD": hidden}, nil, "needs REDIS_URL"},
		{"no file", map[string]string{"CLUSTER_SECRET_FILE": path + "-gone"}, nil, "CLUSTER_SECRET_FILE: open"},
		{"an empty file", map[string]string{"CLUSTER_SECRET_FILE": empty}, nil, "is empty"},
		{"a large file", map[string]string{"CLUSTER_SECRET_FILE": large}, nil, "is it the right file?"},
		{"several mistakes", map[string]string{"CLUSTER_SECRET_FILE": empty, "AUTH_TOKEN_SECRET_FILE": path, "HISTORY_AGE": "soon"}, nil,
			"HISTORY_AGE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			c := new(config.Config)
			_, err := config.Parse(c, tt.args)
			err = errors.Join(err, c.Check())
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), hidden) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
