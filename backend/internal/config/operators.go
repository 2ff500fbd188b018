package config

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/operator"
)

// OperatorSettings are those of how operators sign in with a browser.
type OperatorSettings struct {
	SessionSecret      []string      `env:"SESSION_SECRET" placeholder:"SECRET,…" help:"Comma-separated secrets of at least 32 bytes, the same at all instances, that sign the sessions of operators: the first signs, all are accepted. Default: derived from CLUSTER_SECRET; without that, sessions hold for one instance until it ends."`
	SessionIdleTimeout time.Duration `env:"SESSION_IDLE_TIMEOUT" default:"1h" help:"How long a session of an operator lasts after its last request. An open dashboard counts as one."`
	SessionMaxAge      time.Duration `env:"SESSION_MAX_AGE" default:"12h" help:"How long a session of an operator lasts at most, after signing in."`

	OIDCIssuer       string   `name:"oidc-issuer" env:"OIDC_ISSUER" placeholder:"URL" help:"OpenID provider at which operators can sign in; its address is what its configuration calls issuer."`
	OIDCClientID     string   `name:"oidc-client-id" env:"OIDC_CLIENT_ID" placeholder:"ID" help:"What the OpenID provider calls this server."`
	OIDCClientSecret string   `name:"oidc-client-secret" env:"OIDC_CLIENT_SECRET" placeholder:"SECRET" help:"Secret of OIDC_CLIENT_ID. Without it the client is a public one (PKCE is used always)."`
	OIDCName         string   `name:"oidc-name" env:"OIDC_NAME" placeholder:"NAME" help:"What the sign-in page calls the OpenID provider. Default: its host."`
	OIDCScopes       []string `name:"oidc-scopes" env:"OIDC_SCOPES" default:"profile,email" placeholder:"SCOPE,…" help:"Comma-separated scopes that are asked for besides openid."`
	OIDCRoleClaim    string   `name:"oidc-role-claim" env:"OIDC_ROLE_CLAIM" default:"roles" placeholder:"CLAIM" help:"Claim of the ID token, or of UserInfo, whose values say which roles an operator has; for one inside another a.b."`
	OIDCRoles        []string `name:"oidc-roles" env:"OIDC_ROLES" sep:";" placeholder:"VALUE=ROLE;…" help:"What the values of OIDC_ROLE_CLAIM grant, separated by semicolons, e.g. ops=admin;hall-3=operator@warehouse-3,warehouse-4. Default: the values are roles themselves: viewer, operator, admin, or one of them with warehouses like operator@warehouse-1."`
	OIDCRedirectURL  string   `name:"oidc-redirect-url" env:"OIDC_REDIRECT_URL" placeholder:"URL" help:"Where the OpenID provider sends browsers back to, ending in /ui/login/oidc/callback. Default: at the host that the browser asked."`
}

// mistakes reports what is wrong with the settings.
func (o *OperatorSettings) check() (all []error) {
	bad := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	for i, secret := range o.SessionSecret {
		if len(secret) < auth.MinSecretBytes || strings.TrimSpace(secret) != secret {
			bad("SESSION_SECRET has %d bytes, or a space at its end, in secret %d: at least %d are needed, for example from openssl rand -hex 32",
				len(secret), i+1, auth.MinSecretBytes)
		}
	}
	if o.SessionIdleTimeout < time.Minute || o.SessionMaxAge < o.SessionIdleTimeout {
		bad("--session-idle-timeout %v must be at least 1m, and --session-max-age %v no less than it", o.SessionIdleTimeout, o.SessionMaxAge)
	}
	if o.OIDCIssuer == "" {
		if o.OIDCClientID != "" || o.OIDCClientSecret != "" || len(o.OIDCRoles) > 0 || o.OIDCRedirectURL != "" {
			bad("OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, OIDC_ROLES and OIDC_REDIRECT_URL have no effect without OIDC_ISSUER: set it, or leave them out")
		}
		return all
	}
	if o.OIDCClientID == "" {
		bad("OIDC_ISSUER needs OIDC_CLIENT_ID: register this server at the provider")
	}
	if u, err := url.Parse(o.OIDCIssuer); err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !access.IsLoopback(u.Hostname())) {
		bad("OIDC_ISSUER is no address that can be trusted: write it like https://login.example (http only on this machine)")
	}
	if u, err := url.Parse(o.OIDCRedirectURL); o.OIDCRedirectURL != "" && (err != nil || u.Host == "" || !strings.HasSuffix(u.Path, operator.CallbackPath)) {
		bad("OIDC_REDIRECT_URL must be an address like https://push.example%s", operator.CallbackPath)
	}
	if o.OIDCRoleClaim == "" {
		bad("OIDC_ROLE_CLAIM is empty: name the claim that has the roles")
	}
	if _, err := operator.ParseRoles(o.OIDCRoles); err != nil {
		bad("OIDC_ROLES: %w", err)
	}
	return all
}

// SessionSecrets sign the sessions of operators; empty where instances share none.
func (c *Config) SessionSecrets() []string {
	if len(c.SessionSecret) > 0 {
		return c.SessionSecret
	}
	return c.ClusterSecret
}

// Provider is the OpenID provider of operators; without an issuer there is none.
func (c *Config) Provider() operator.ProviderOptions {
	roles, _ := operator.ParseRoles(c.OIDCRoles) // checked already
	return operator.ProviderOptions{Issuer: c.OIDCIssuer, ClientID: c.OIDCClientID, ClientSecret: c.OIDCClientSecret,
		RedirectURL: c.OIDCRedirectURL, Scopes: c.OIDCScopes, RoleClaim: c.OIDCRoleClaim, Roles: roles}
}

// ProviderName is what the sign-in page calls the OpenID provider; empty without one.
func (c *Config) ProviderName() string {
	if u, err := url.Parse(c.OIDCIssuer); c.OIDCName == "" && err == nil {
		return u.Host
	}
	return c.OIDCName
}

// lonelySessions says that operators lose their session at each other instance.
func (c *Config) lonelySessions() bool {
	return c.RedisURL != "" && c.operatorSet() && len(c.SessionSecrets()) == 0
}
