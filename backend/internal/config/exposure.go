package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Surface is something that can be reached, who may use it, and which setting decides that. The
// name of one over HTTP ends with its paths: "what it is: /one, /two/…, …/three".
type Surface struct{ Name, Who, Setting string }

// Surfaces lists what this configuration exposes, and to whom.
func (c *Config) Surfaces() []Surface {
	outside := reach(c.Listen)
	inside := reach(cmp.Or(c.AdminListen, c.Listen))
	// who is the caller of what has a secret, or everybody who reaches it.
	who := func(secret bool, holder string) string {
		if secret {
			return holder
		}
		return outside
	}
	// internal is who for what is at ADMIN_LISTEN alone, if that is set.
	internal := func(secret bool, holder string) string {
		if secret {
			return holder
		}
		return inside
	}
	token, keys := c.NeedsToken(), c.HasPublishKeys()
	operator, operators, admins := c.operatorSet() || c.secretSet(), "operators", "operators with the role admin"
	if !c.operatorSet() {
		operators = "nobody until there are operators"
		admins = operators
	}
	publishers := "services with a key"
	switch {
	case token && keys:
		publishers = "services with a key, clients whose token permits it"
	case token:
		publishers = "clients and services whose token permits it"
	}
	acknowledgers := publishers + ", who has the claim acknowledge"
	if len(c.AcknowledgePins) > 0 {
		acknowledgers += ", who has a PIN at a screen that may join"
	}
	pages := "this server's own"
	if len(c.AllowedOrigins) > 0 {
		pages += " and " + strings.Join(c.AllowedOrigins, ", ")
	}
	rooms := internal(false, "")
	if c.HealthRooms == Operators {
		rooms = internal(operator, operators)
	}
	hosts := "the loopback names"
	if named := c.Hosts(c.Listen); slices.Contains(named, "*") {
		hosts = "any"
	} else if len(named) > 0 {
		hosts += " and " + strings.Join(named, ", ")
	}
	proxies := "nobody"
	if len(c.TrustedProxies) > 0 {
		proxies = strings.Join(c.TrustedProxies, ", ")
	}
	pairing := "nobody: it needs AUTH_TOKEN_SECRET, and operators"
	if c.SigningSecret() != "" && c.AuthURL == "" && c.operatorSet() {
		pairing = outside + "; a token is given when an operator confirms the code"
	}
	surfaces := []Surface{
		{"connect and receive: /ws, /sse, /poll", who(token, "clients with a token, what it permits"), "AUTH_TOKEN_SECRET"},
		{"read zones and alerts: …/zones, …/alerts, …/alerts/history", who(token, "clients with a token, what it permits"), "AUTH_TOKEN_SECRET"},
		{"a screen says what it shows: …/{warehouse}/screens, …/{zone}/screens", who(token, "clients with a token, what it permits"), "AUTH_TOKEN_SECRET"},
		{"a screen asks for a token of its own, and renews it: /api/v1/pairings, /api/v1/pairings/renew", pairing, "AUTH_TOKEN_SECRET, OPERATOR_PASSWORD"},
		{"publish: /api/v1/broadcast, …/broadcast", who(token || keys, publishers), "PUBLISH_KEYS, AUTH_TOKEN_SECRET"},
		{"remove what is retained, clear alerts: …/retained/{event}, …/alerts/clear", who(token || keys, publishers), "PUBLISH_KEYS, AUTH_TOKEN_SECRET"},
		{"acknowledge alerts: …/alerts/acknowledge", who(token || keys, acknowledgers), "PUBLISH_KEYS, AUTH_TOKEN_SECRET, ACKNOWLEDGE_PINS"},
		{"dashboard and list of screens: /ui/…, /screen/", internal(operator, operators), "OPERATOR_PASSWORD, OPERATORS_FILE"},
		{"list and end connections, direct and pair screens: /api/v1/connections…, /api/v1/screens…, /api/v1/pairings/…", internal(operator, operators), "OPERATOR_PASSWORD, OPERATORS_FILE"},
		{"list and drain instances: /api/v1/instances…", internal(operator, operators), "OPERATOR_PASSWORD, OPERATORS_FILE"},
		{"revoke tokens: /api/v1/revocations…", internal(operator, admins), "OPERATOR_PASSWORD, OPERATORS_FILE"},
		{"audit log, rebalance: /api/v1/audit, /api/v1/rebalance", internal(operator, admins), "OPERATOR_PASSWORD, OPERATORS_FILE"},
		{"delete rooms: /api/v1/warehouses/{warehouse}, …/zones/{zone}", internal(operator, admins), "OPERATOR_PASSWORD, OPERATORS_FILE"},
		{"a zone's screen: /screen/{warehouse}/{zone}", outside + "; its data needs what connecting needs", "LISTEN"},
		{"documentation, files of pages: /docs…, /assets/…", outside, "LISTEN"},
		{"totals: /health/websocket/metrics", internal(c.MetricsAuth, operators), "METRICS_AUTH"},
		{"largest rooms: /health/websocket/metrics", rooms, "HEALTH_ROOMS, OPERATOR_PASSWORD"},
		{"metrics: /metrics", internal(c.MetricsAuth, operators), "METRICS_AUTH"},
		{"probes: /livez, /readyz", outside, "LISTEN"},
		{"connect from web pages", "pages of " + pages, "ALLOWED_ORIGINS"},
		{"names that requests may have as Host", hosts, "ALLOWED_HOSTS"},
		{"name the client's address (X-Forwarded-For)", proxies, "TRUSTED_PROXIES"},
	}
	if c.operatorSet() {
		var holders []string
		if c.OperatorPassword != "" || c.OperatorsFile != "" {
			holders = append(holders, "who has an operator's password")
		}
		if c.OIDCIssuer != "" {
			holders = append(holders, fmt.Sprintf("who has a role by the claim %s at %s", c.OIDCRoleClaim, c.OIDCIssuer))
		}
		surfaces = append(surfaces, Surface{"sign in as an operator: /ui/login", strings.Join(holders, ", "), "OPERATOR_PASSWORD, OPERATORS_FILE, OIDC_ISSUER"})
	}
	if c.AdminListen != "" {
		surfaces = append(surfaces, Surface{"what is the operators' and monitoring's, at " + c.AdminListen + " alone", inside, "ADMIN_LISTEN"})
	}
	if c.HasProfiles() {
		surfaces = append(surfaces, Surface{"profiles: /debug/pprof/", internal(operator, admins), "ADMIN_LISTEN"})
	}
	surfaces = append(surfaces, c.TLS.surfaces(outside)...)
	if c.RedisURL != "" {
		surfaces = append(surfaces,
			Surface{"speak for an instance, through Redis", who(len(c.ClusterSecret) > 0, "instances with the secret"), "CLUSTER_SECRET"},
			Surface{"read and write what Redis keeps", "who Redis lets in", "Redis's ACL, REDIS_PASSWORD"})
		if len(c.ClusterSecret) == 0 {
			surfaces[len(surfaces)-2].Who = "who may publish in Redis"
		}
	}
	return surfaces
}

// Warnings are what is permitted, but probably not meant.
func (c *Config) Warnings() (all []string) {
	if c.Unsigned() {
		all = append(all, "what instances tell one another is not signed, so whoever may publish in this Redis is believed: set CLUSTER_SECRET")
	}
	if c.lonelySessions() {
		all = append(all, "sessions of operators hold for one instance alone, so behind a balancer they sign in again and again: "+
			"set SESSION_SECRET or CLUSTER_SECRET, the same at all instances")
	}
	all = append(all, c.TLS.warnings()...)
	proxies, _ := c.Proxies() // reported by Check
	for _, p := range proxies {
		if ones, bits := p.Mask.Size(); ones <= wideProxies(bits) {
			all = append(all, fmt.Sprintf("TRUSTED_PROXIES has %s, which has clients in it as well as proxies: each of them can claim any "+
				"address with X-Forwarded-For; list the proxies alone", p))
		}
	}
	return all
}

// wideProxies is the length of prefix up to which a network can't be one of proxies alone: larger
// than all private networks of its family (RFC 1918, RFC 4193).
func wideProxies(bits int) int {
	if bits == 32 {
		return 7
	}
	return 6
}
