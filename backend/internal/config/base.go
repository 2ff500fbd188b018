package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Base has the setting of a path below which a proxy shows the server.
type Base struct {
	BasePath string `env:"BASE_PATH" placeholder:"/PATH" help:"Path below which a proxy shows this server, e.g. /push: pages, redirects and cookies have it. The proxy may pass it on or take it off. Default: what TRUSTED_PROXIES say in X-Forwarded-Prefix."`
}

// maxBasePath is the most bytes of it.
const maxBasePath = 200

var basePath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)

// CheckBasePath reports what is wrong with such a path.
func CheckBasePath(path string) error {
	if len(path) > maxBasePath || !basePath.MatchString(path) {
		return errors.New("write it like /push or /apps/push: at most 200 letters, digits and . _ ~ - after each slash, none at the end")
	}
	return nil
}

func (b *Base) check() error {
	b.BasePath = strings.TrimSuffix(b.BasePath, "/") // so "/" is the root
	if b.BasePath == "" {
		return nil
	}
	if err := CheckBasePath(b.BasePath); err != nil {
		return fmt.Errorf("--base-path %.80q: %w", b.BasePath, err)
	}
	return nil
}
