package config

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/auth"
)

// Cluster has the secrets between instances and Redis.
type Cluster struct {
	ClusterSecret []string `env:"CLUSTER_SECRET" placeholder:"SECRET,…" help:"Comma-separated secrets of at least 32 bytes, the same at all instances, with which they sign (HMAC-SHA256) what they tell one another through Redis: the first signs, all are accepted. Without it, whoever may publish in Redis is believed."`
	RedisPassword string   `env:"REDIS_PASSWORD" placeholder:"PASSWORD" help:"Password of Redis, instead of one in REDIS_URL."`
}

// mistakes reports what is wrong with the settings.
func (c *Cluster) check(redisURL string) (all []error) {
	for i, secret := range c.ClusterSecret {
		if len(secret) < auth.MinSecretBytes || strings.TrimSpace(secret) != secret {
			all = append(all, fmt.Errorf("CLUSTER_SECRET has %d bytes, or a space at its end, in secret %d: at least %d are needed, "+
				"for example from openssl rand -hex 32", len(secret), i+1, auth.MinSecretBytes))
		}
	}
	switch u, err := url.Parse(redisURL); {
	case c.RedisPassword == "":
	case redisURL == "":
		all = append(all, fmt.Errorf("REDIS_PASSWORD needs REDIS_URL: set it, or leave the password out"))
	case err == nil && u.User != nil:
		if _, both := u.User.Password(); both {
			all = append(all, fmt.Errorf("REDIS_PASSWORD is given, and REDIS_URL has a password too: leave one of them out"))
		}
	}
	return all
}

// RedisAddress is RedisURL with the password of Redis.
func (c *Config) RedisAddress() string {
	u, err := url.Parse(c.RedisURL)
	if c.RedisPassword == "" || err != nil {
		return c.RedisURL // what is wrong with it is reported by those who connect
	}
	u.User = url.UserPassword(u.User.Username(), c.RedisPassword)
	return u.String()
}

// Unsigned says that instances believe whoever may publish in Redis, although other secrets are
// set.
func (c *Config) Unsigned() bool {
	return c.RedisURL != "" && len(c.ClusterSecret) == 0 && len(c.unprotected(true)) < 3
}
