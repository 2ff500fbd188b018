package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/internal/auth"
)

// Auth has the settings of tokens and publish keys. AUTH_TOKEN_SECRET and PUBLISH_KEYS are beside
// it, in [Config].
type Auth struct {
	AuthTokenSecrets  []string      `env:"AUTH_TOKEN_SECRETS" placeholder:"SECRET,…" help:"Comma-separated further secrets that tokens may be signed with (HS256), of at least 32 bytes each: to change AUTH_TOKEN_SECRET without a token refused."`
	AuthPublicKeyFile string        `env:"AUTH_PUBLIC_KEY_FILE" placeholder:"FILE" help:"Public keys or certificates (PEM) of the tokens' issuer: RS256, ES256 or EdDSA by their type. Read again when it changes, and on SIGHUP."`
	AuthJWKSURL       string        `name:"auth-jwks-url" env:"AUTH_JWKS_URL" placeholder:"URL" help:"Where the tokens' issuer publishes its keys (JSON Web Key Set): RS256, ES256 or EdDSA."`
	AuthIssuer        string        `env:"AUTH_ISSUER" placeholder:"TEXT" help:"What the claim iss of tokens must be. Default: anything."`
	AuthAudience      string        `env:"AUTH_AUDIENCE" placeholder:"TEXT" help:"What the claim aud of tokens must contain. Default: anything."`
	AuthLeeway        time.Duration `env:"AUTH_LEEWAY" default:"5s" help:"How far the clock of the issuer may be off: for exp, nbf and iat."`
	AuthRequireExp    bool          `env:"AUTH_REQUIRE_EXP" default:"true" negatable:"" help:"Refuse tokens that never expire (without exp)."`
	AuthMaxAge        time.Duration `env:"AUTH_MAX_AGE" default:"720h" help:"Maximum age of a token, from its iat on; without iat it must expire within this time. 0 = as long as exp says."`
	AuthURL           string        `name:"auth-url" env:"AUTH_URL" placeholder:"URL" help:"Address of an application that decides who may connect and publish: it is asked by POST for each connect. Instead of secrets and keys of tokens."`
	AuthURLTimeout    time.Duration `name:"auth-url-timeout" env:"AUTH_URL_TIMEOUT" default:"3s" help:"Timeout of a request to AUTH_URL. Without an answer nobody is let in."`
	AuthURLCache      time.Duration `name:"auth-url-cache" env:"AUTH_URL_CACHE" default:"30s" help:"For how long a decision of AUTH_URL counts for further connects."`
	PublishKeysFile   string        `env:"PUBLISH_KEYS_FILE" placeholder:"FILE" help:"Publish keys by name, hashed, each with its warehouses, events and expiry: one line a key, made by zonecast token key. Read again when it changes, and on SIGHUP."`
}

// maxLeeway bounds AUTH_LEEWAY: beyond it a clock is wrong.
const maxLeeway = 10 * time.Minute

// AuthOptions are the settings as package auth takes them.
func (c *Config) AuthOptions() auth.Options {
	return auth.Options{TokenSecret: c.AuthTokenSecret,
		Tokens: auth.TokenOptions{Secrets: c.AuthTokenSecrets, PublicKeyFile: c.AuthPublicKeyFile, JWKSURL: c.AuthJWKSURL,
			Issuer: c.AuthIssuer, Audience: c.AuthAudience, Leeway: c.AuthLeeway, MaxAge: c.AuthMaxAge, ExpiryOptional: !c.AuthRequireExp},
		Callback:    auth.CallbackOptions{URL: c.AuthURL, Timeout: c.AuthURLTimeout, CacheFor: c.AuthURLCache},
		PublishKeys: c.PublishKeys, PublishKeysFile: c.PublishKeysFile}
}

// verifiesTokens reports whether there is a key that tokens can be signed with.
func (c *Config) verifiesTokens() bool {
	return c.AuthTokenSecret != "" || len(c.AuthTokenSecrets) > 0 || c.AuthPublicKeyFile != "" || c.AuthJWKSURL != ""
}

// NeedsToken reports whether clients need a token.
func (c *Config) NeedsToken() bool { return c.verifiesTokens() || c.AuthURL != "" }

// HasPublishKeys reports whether services can publish with a key.
func (c *Config) HasPublishKeys() bool { return len(c.PublishKeys) > 0 || c.PublishKeysFile != "" }

// SigningSecret is the secret that signs tokens; empty for none.
func (c *Config) SigningSecret() string {
	if c.AuthTokenSecret == "" && len(c.AuthTokenSecrets) > 0 {
		return c.AuthTokenSecrets[0]
	}
	return c.AuthTokenSecret
}

// CheckAuth reports all mistakes in the settings of Auth.
func (c *Config) CheckAuth() error {
	var all []error
	bad := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	for i, s := range c.AuthTokenSecrets {
		if n := len(s); n < auth.MinSecretBytes || strings.TrimSpace(s) != s {
			bad("AUTH_TOKEN_SECRETS: secret %d has %d bytes or spaces around it: at least %d bytes are needed, separated by commas alone",
				i+1, n, auth.MinSecretBytes)
		}
	}
	if c.AuthPublicKeyFile != "" && c.AuthJWKSURL != "" {
		bad("AUTH_PUBLIC_KEY_FILE and AUTH_JWKS_URL don't go together: the keys are in the one or at the other")
	}
	if c.AuthURL != "" && c.verifiesTokens() {
		bad("AUTH_URL and keys of tokens (AUTH_TOKEN_SECRET, AUTH_PUBLIC_KEY_FILE, AUTH_JWKS_URL) don't go together: one of them decides")
	}
	if (c.AuthIssuer != "" || c.AuthAudience != "") && !c.verifiesTokens() {
		bad("AUTH_ISSUER and AUTH_AUDIENCE have no effect without AUTH_TOKEN_SECRET, AUTH_PUBLIC_KEY_FILE or AUTH_JWKS_URL: set one of these")
	}
	for _, s := range []struct{ name, value string }{{"AUTH_JWKS_URL", c.AuthJWKSURL}, {"AUTH_URL", c.AuthURL}} {
		u, err := url.Parse(s.value)
		if s.value != "" && (err != nil || u.Host == "" || !slices.Contains([]string{"https", "http"}, u.Scheme)) {
			bad("%s is no address: write it like https://login.example/keys", s.name)
		}
	}
	for _, s := range []struct {
		name               string
		value, least, most time.Duration
	}{
		{"--auth-leeway", c.AuthLeeway, 0, maxLeeway},
		{"--auth-url-timeout", c.AuthURLTimeout, 100 * time.Millisecond, 30 * time.Second},
		{"--auth-url-cache", c.AuthURLCache, time.Second, time.Hour},
	} {
		if s.value < s.least || s.value > s.most {
			bad("%s must be from %v to %v", s.name, s.least, s.most)
		}
	}
	if c.AuthMaxAge != 0 && c.AuthMaxAge < time.Minute {
		bad("--auth-max-age must be at least 1m, or 0 for as long as exp says")
	}
	return errors.Join(all...)
}
