package config

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/operator"
)

// AccessSettings are those of operators, and of what is asked of every request.
type AccessSettings struct {
	OperatorsFile string   `env:"OPERATORS_FILE" placeholder:"FILE" help:"File of operators, a line each: name:bcrypt hash:role, the role viewer, operator or admin, or one of them in some warehouses alone, e.g. operator@warehouse-1,warehouse-2. It is read again when it changes."`
	MetricsAuth   bool     `env:"METRICS_AUTH" help:"Ask for an operator's login at /metrics and /health/websocket/metrics too."`
	AllowedHosts  []string `env:"ALLOWED_HOSTS" placeholder:"HOST,…" help:"Comma-separated names that requests may have as their Host, without port, e.g. push.example or *.example, besides those of the loopback interface; * = any. Default: none besides on a loopback address, any elsewhere."`
}

// minKeyBytes is the least length of a publisher's key.
const minKeyBytes = 16

// Hosts are the names that requests at a list of addresses may have as their Host; see
// access.Hosts.
func (c *Config) Hosts(address string) []string {
	if len(c.AllowedHosts) == 0 && !local(address) {
		return []string{"*"}
	}
	return c.AllowedHosts
}

// Access says who gets in, as pairs of who and what is asked for.
func (c *Config) Access() []any {
	clients, publishers, operators, metrics := "a token", "a key or a token", c.logins(), "anyone"
	if !c.NeedsToken() {
		clients = "anyone"
	}
	switch {
	case !c.secretSet():
		publishers = "anyone"
	case !c.NeedsToken():
		publishers = "a key"
	case !c.HasPublishKeys():
		publishers = "a token"
	}
	switch {
	case c.operatorSet():
	case c.secretSet():
		operators = "nobody (set OPERATOR_PASSWORD, OPERATORS_FILE or OIDC_ISSUER)"
	default:
		operators = "anyone"
	}
	if c.MetricsAuth {
		metrics = operators
	}
	return []any{"clients", clients, "publishers", publishers, "operators", operators, "metrics", metrics}
}

// secretSet reports whether clients or publishers are asked for something.
func (c *Config) secretSet() bool { return c.NeedsToken() || c.HasPublishKeys() }

func (c *Config) operatorSet() bool {
	return c.OperatorPassword != "" || c.OperatorsFile != "" || c.OIDCIssuer != ""
}

// logins says how operators log in.
func (c *Config) logins() string {
	switch {
	case c.OIDCIssuer == "":
		return "a login"
	case c.OperatorPassword == "" && c.OperatorsFile == "":
		return "a login at " + c.OIDCIssuer
	}
	return "a login here or at " + c.OIDCIssuer
}

// unprotected lists what needs no authentication, at an address that has what is the operators', or
// not.
func (c *Config) unprotected(operators bool) []string {
	var open []string
	if !c.NeedsToken() {
		open = append(open, "anyone may connect (set AUTH_TOKEN_SECRET)")
	}
	if !c.secretSet() {
		open = append(open, "anyone may publish (set PUBLISH_KEYS)")
		if operators && !c.operatorSet() {
			open = append(open, "anyone may see the dashboard and disconnect clients (set OPERATOR_PASSWORD)")
		}
	}
	return open
}

// checkAccess returns the mistakes in the settings of who gets in.
func (c *Config) checkAccess() (all []error) {
	bad := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if n := len(c.OperatorPassword); n > 0 && n < operator.MinPasswordBytes {
		bad("OPERATOR_PASSWORD has %d bytes: at least %d are needed, for example from openssl rand -base64 24", n, operator.MinPasswordBytes)
	}
	for i, k := range c.PublishKeys {
		if k != "" && len(k) < minKeyBytes {
			bad("key %d of PUBLISH_KEYS has %d bytes: at least %d are needed, for example from openssl rand -hex 32", i+1, len(k), minKeyBytes)
		}
	}
	if c.OperatorsFile != "" {
		accounts, err := operator.ReadFile(c.OperatorsFile)
		if err != nil {
			all = append(all, err)
		}
		if _, twice := accounts[operator.DefaultName]; twice && c.OperatorPassword != "" {
			bad("OPERATORS_FILE names %s, whose password is OPERATOR_PASSWORD: unset that, or name it otherwise", operator.DefaultName)
		}
	}
	if c.MetricsAuth && !c.operatorSet() {
		bad("METRICS_AUTH needs an operator: set OPERATOR_PASSWORD, OPERATORS_FILE or OIDC_ISSUER")
	}
	for _, o := range c.AllowedOrigins {
		if o != "*" && !validOrigin(o) {
			bad("ALLOWED_ORIGINS has %q, which is no origin: write it as browsers send it, like https://wall.example or "+
				"http://10.0.0.7:8080, or https://*.example for all names that end so", o)
		}
	}
	for _, h := range c.AllowedHosts {
		if h != "*" && !validHost(h) {
			bad("ALLOWED_HOSTS has %q, which is no host name: write it without scheme and port, like push.example or *.example", h)
		}
	}
	return all
}

// validOrigin reports whether o is an origin, the first label of whose host may be "*".
func validOrigin(o string) bool {
	u, err := url.Parse(o)
	return err == nil && u.Host != "" && u.Scheme+"://"+u.Host == o && strings.ToLower(o) == o &&
		!strings.Contains(strings.TrimPrefix(u.Host, "*."), "*")
}

func validHost(h string) bool {
	name := strings.TrimPrefix(h, "*.")
	return net.ParseIP(strings.Trim(h, "[]")) != nil || cmp.Or(name, "*") != "*" &&
		!slices.ContainsFunc([]rune(name), func(r rune) bool { return strings.ContainsRune("*:/@?# ", r) })
}
