// Package config holds every setting once: flag, environment name, default and help.
//
//	cmd/zonecast ── embeds Config ──▶ kong ──▶ Config ── Check ──▶ every mistake at once
//
// docs/configuration.md is generated from it: go test ./internal/config -update
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/zonecast/zonecast/backend/internal/auth"
)

// Config has the settings of the server. The tags are the documentation.
type Config struct {
	Listen        string `env:"LISTEN" default:"127.0.0.1:3001" help:"Addresses to listen on, comma-separated: host:port (port 0 picks a free one), unix:/path for a socket that any user of this machine can open, systemd for the sockets that it hands over (systemd:NAME for those of this FileDescriptorName)."`
	RedisURL      string `env:"REDIS_URL" placeholder:"URL" help:"Redis shared by all instances, e.g. redis://127.0.0.1:6379/0; rediss:// for TLS; any server of a Redis Cluster; Sentinels with ?master_name=. Without it there is one instance, which keeps everything in memory."`
	RedisCAFile   string `env:"REDIS_CA_FILE" placeholder:"FILE" help:"CA certificates (PEM) to verify Redis with. Default: those of the system."`
	RedisCertFile string `env:"REDIS_CERT_FILE" placeholder:"FILE" help:"Client certificate (PEM) for Redis."`
	RedisKeyFile  string `env:"REDIS_KEY_FILE" placeholder:"FILE" help:"Key (PEM) of the client certificate for Redis."`
	RedisStart
	Cluster
	Health
	Metrics
	Canary
	NodeName string `env:"NODE_NAME" placeholder:"NAME" help:"Name of this instance, unique in the cluster. Default: the host name with a random suffix."`

	AuthTokenSecret  string   `env:"AUTH_TOKEN_SECRET" placeholder:"SECRET" help:"Secret of at least 32 bytes. If set, clients need a JSON Web Token signed with it (HS256)."`
	PublishKeys      []string `env:"PUBLISH_KEYS" placeholder:"KEY,…" help:"Comma-separated keys. If set, services need one to publish (Authorization: Bearer KEY)."`
	OperatorPassword string   `env:"OPERATOR_PASSWORD" placeholder:"PASSWORD" help:"Password of the operator whose name is operator, an admin, at least 8 bytes: for the sign-in page and HTTP Basic."`
	AllowedOrigins   []string `env:"ALLOWED_ORIGINS" placeholder:"ORIGIN,…" help:"Comma-separated origins of web pages that may connect, e.g. https://wall.example or https://*.example, besides this server's own; * = all."`
	AccessSettings
	OperatorSettings
	AllowAnonymous bool `env:"ALLOW_ANONYMOUS" help:"Allow listening on a public address without authentication of clients, publishers or operators."`

	Storage
	Auth
	Audit
	TLS
	Admin
	Tracing
	Base
	Dashboard

	HistoryMessages   int           `env:"HISTORY_MESSAGES" default:"1000" help:"Messages kept per room for clients that reconnect."`
	HistoryAge        time.Duration `env:"HISTORY_AGE" default:"10m" help:"Maximum age of kept messages."`
	HeartbeatInterval time.Duration `env:"HEARTBEAT_INTERVAL" default:"30s" help:"Interval of heartbeats on each connection."`
	PongTimeout       time.Duration `env:"PONG_TIMEOUT" default:"10s" help:"Timeout of the answer to a heartbeat's ping. A dead peer is detected within HEARTBEAT_INTERVAL + PONG_TIMEOUT."`
	DrainTimeout      time.Duration `env:"DRAIN_TIMEOUT" default:"10s" help:"Time that leaving takes at most. Clients are asked to reconnect over half of it."`
	Drain
	Rebalance
	Durable

	MaxConnections           int           `env:"MAX_CONNECTIONS" default:"0" help:"Maximum connections; 0 = 19000 or what RLIMIT_NOFILE allows."`
	MaxConnectionsPerUser    int           `env:"MAX_CONNECTIONS_PER_USER" default:"0" help:"Maximum connections of one user (the token's subject); 0 = unlimited."`
	MaxConnectionsPerAddress int           `env:"MAX_CONNECTIONS_PER_ADDRESS" default:"0" help:"Maximum connections from one address; 0 = unlimited. A whole warehouse may share one address."`
	MaxQueuedBytes           int           `env:"MAX_QUEUED_BYTES" default:"1048576" help:"Maximum size of one connection's write queue in bytes. Beyond it the connection is closed as slow consumer (4408)."`
	SendBufferBytes          int           `env:"SEND_BUFFER_BYTES" default:"131072" help:"Size of each connection's send buffer in the kernel (SO_SNDBUF; Linux takes twice as much); 0 = the system's, which grows to several MiB for a client that does not read."`
	SlowAfter                time.Duration `env:"SLOW_AFTER" default:"1s" help:"Age of the oldest queued message at which a connection counts as slow, and how long publishers wait for members of a room of which none takes anything."`
	PublishWait              time.Duration `env:"PUBLISH_WAIT" default:"2s" help:"Maximum time that a publisher waits for members of its room that are behind, before it gets 429."`
	RateLimitTokens          float64       `env:"RATE_LIMIT_TOKENS" default:"100" help:"Burst of frames per connection; 0 = unlimited."`
	RateLimitRefill          float64       `env:"RATE_LIMIT_REFILL" default:"10" help:"Refill rate in frames per second."`
	UserRateLimitTokens      float64       `env:"USER_RATE_LIMIT_TOKENS" default:"1000" help:"Burst of frames per user (the token's subject) on this instance; 0 = unlimited. Published messages count as frames, and so do requests to /sse and /poll and each room that they name."`
	UserRateLimitRefill      float64       `env:"USER_RATE_LIMIT_REFILL" default:"100" help:"Refill rate in frames per second."`
	AddressRateLimitTokens   float64       `env:"ADDRESS_RATE_LIMIT_TOKENS" default:"0" help:"Burst of frames per address, counted like those of a user; 0 = unlimited."`
	AddressRateLimitRefill   float64       `env:"ADDRESS_RATE_LIMIT_REFILL" default:"0" help:"Refill rate in frames per second."`
	TrustedProxies           []string      `env:"TRUSTED_PROXIES" placeholder:"CIDR,…" help:"Comma-separated networks of proxies whose X-Forwarded-For and X-Forwarded-Prefix are trusted, e.g. 10.0.0.0/8."`
	MaxFrameBytes            int           `name:"max-inbound-frame-bytes" env:"MAX_INBOUND_FRAME_BYTES" default:"65536" help:"Maximum size in bytes of a frame from a client, and of the data of a message from a service."`

	DeflateFrom int `env:"DEFLATE_FROM" default:"1024" help:"Minimum size in bytes of frames to compress (per-message deflate); 0 = no compression."`

	LogLevel  string `env:"LOG_LEVEL" default:"info" help:"Minimum log level: debug, info, warn or error."`
	LogFormat string `env:"LOG_FORMAT" default:"text" help:"Log format: text or json."`

	Edge
	Users
	Rooms
	Alerts
	Events
	File
}

// DefaultListen is the address that the server listens on by default.
const DefaultListen = "127.0.0.1:3001"

// DefaultConnections is the default maximum of connections. With what else needs descriptors it
// fits a limit of 20,000.
const DefaultConnections = 19_000

// spareDescriptors is how many descriptors are left for what is no client: the listener, Redis,
// requests over HTTP.
const spareDescriptors = 200

// maxNodeName is the most bytes of NodeName.
const maxNodeName = 64

// Connections returns how many connections the instance takes where it may have this many
// descriptors. It is less than what was asked for only by default; the error says what to change.
func (c *Config) Connections(descriptors uint64) (int, error) {
	if c.MaxConnections > 0 {
		if need := uint64(c.MaxConnections) + spareDescriptors; need > descriptors {
			return 0, fmt.Errorf("--max-connections %d needs %d open files, the limit is %d: "+
				"raise it (ulimit -Hn, LimitNOFILE, or ulimits of the container), or lower MAX_CONNECTIONS to %d",
				c.MaxConnections, need, descriptors, max(0, int64(descriptors)-spareDescriptors))
		}
		return c.MaxConnections, nil
	}
	if descriptors <= spareDescriptors {
		return 0, fmt.Errorf("%d open files leave none for connections: raise the limit (ulimit -Hn)", descriptors)
	}
	return int(min(DefaultConnections, descriptors-spareDescriptors)), nil
}

// Check reports all mistakes at once.
func (c *Config) Check() error {
	var all []error
	bad := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	all = append(all, c.listens()...)
	if n := len(c.AuthTokenSecret); n > 0 && n < auth.MinSecretBytes {
		bad("AUTH_TOKEN_SECRET has %d bytes: at least %d are needed, for example from openssl rand -hex 32", n, auth.MinSecretBytes)
	}
	all = append(all, c.CheckAuth())
	if slices.ContainsFunc(c.PublishKeys, func(k string) bool { return strings.TrimSpace(k) != k || k == "" }) {
		bad("PUBLISH_KEYS has an empty key, or one with a space at its end: write them as KEY,KEY")
	}
	all = append(append(all, c.checkAccess()...), c.OperatorSettings.check()...)
	all = append(all, c.checkTracing()...)
	for _, s := range []struct {
		name  string
		least int64
		value int64
		unit  string
	}{
		{"--heartbeat-interval", int64(time.Second), int64(c.HeartbeatInterval), "1s"},
		{"--pong-timeout", int64(100 * time.Millisecond), int64(c.PongTimeout), "100ms"},
		{"--drain-timeout", int64(100 * time.Millisecond), int64(c.DrainTimeout), "100ms"},
		{"--history-messages", 1, int64(c.HistoryMessages), "1"},
		{"--history-age", int64(time.Second), int64(c.HistoryAge), "1s"},
		{"--max-connections", 0, int64(c.MaxConnections), "0"},
		{"--max-connections-per-user", 0, int64(c.MaxConnectionsPerUser), "0"},
		{"--max-connections-per-address", 0, int64(c.MaxConnectionsPerAddress), "0"},
		{"--deflate-from", 0, int64(c.DeflateFrom), "0"},
		{"--send-buffer-bytes", 0, int64(c.SendBufferBytes), "0"},
		{"--slow-after", int64(10 * time.Millisecond), int64(c.SlowAfter), "10ms"},
		{"--publish-wait", int64(time.Millisecond), int64(c.PublishWait), "1ms"},
		{"--max-inbound-frame-bytes", 1024, int64(c.MaxFrameBytes), "1024"},
	} {
		if s.value < s.least {
			bad("%s must be at least %s", s.name, s.unit)
		}
	}
	for _, s := range []struct {
		name        string
		value, most time.Duration
		why         string
	}{
		{"--slow-after", c.SlowAfter, time.Minute, "publishers wait that long for a client that does not read"},
		{"--publish-wait", c.PublishWait, time.Minute, "no publisher waits longer for an answer"},
	} {
		if s.value > s.most {
			bad("%s must be at most %v: %s", s.name, s.most, s.why)
		}
	}
	for _, r := range []struct {
		name           string
		tokens, refill float64
	}{
		{"rate-limit", c.RateLimitTokens, c.RateLimitRefill},
		{"user-rate-limit", c.UserRateLimitTokens, c.UserRateLimitRefill},
		{"address-rate-limit", c.AddressRateLimitTokens, c.AddressRateLimitRefill},
	} {
		switch {
		case !(r.tokens >= 0 && r.refill >= 0): // not a number is neither
			bad("--%s-tokens and --%s-refill must be at least 0", r.name, r.name)
		case r.tokens > 0 && (r.tokens < 1 || r.refill == 0):
			bad("--%s-tokens %v with --%s-refill %v lets nothing through in the long run: set tokens >= 1 and refill > 0, or tokens to 0",
				r.name, r.tokens, r.name, r.refill)
		}
	}
	most := cmp.Or(c.MaxConnections, DefaultConnections)
	for _, s := range []struct {
		name  string
		value int
	}{
		{"--max-connections-per-user", c.MaxConnectionsPerUser},
		{"--max-connections-per-address", c.MaxConnectionsPerAddress},
	} {
		if s.value > max(most, 0) {
			bad("%s %d is more than the %d of --max-connections: lower it, or set it to 0 for unlimited", s.name, s.value, most)
		}
	}
	if c.MaxConnectionsPerUser > 0 && !c.NeedsToken() {
		bad("--max-connections-per-user %d has no effect without AUTH_TOKEN_SECRET or its like, since only tokens name users: set that, or set it to 0", c.MaxConnectionsPerUser)
	}
	if len(c.NodeName) > maxNodeName || !utf8.ValidString(c.NodeName) || strings.ContainsFunc(c.NodeName, unicode.IsControl) {
		bad("--node-name %.80q must be at most %d bytes of text without control characters", c.NodeName, maxNodeName)
	}
	for _, s := range []struct{ name, value, known string }{
		{"--log-level", c.LogLevel, "debug, info, warn, error"},
		{"--log-format", c.LogFormat, "text, json"},
	} {
		if !slices.Contains(strings.Split(s.known, ", "), s.value) {
			bad("%s %q is not one of %s", s.name, s.value, s.known)
		}
	}
	c.Storage.check(bad)
	if (c.RedisCertFile == "") != (c.RedisKeyFile == "") {
		bad("--redis-cert-file and --redis-key-file go together: give both or neither")
	}
	if c.RedisURL == "" && cmp.Or(c.RedisCAFile, c.RedisCertFile, c.RedisKeyFile) != "" {
		bad("certificates for Redis need --redis-url: set it, or leave them out")
	}
	all = append(append(all, c.Cluster.check(c.RedisURL)...), c.Health.check(), c.Metrics.check(), c.Canary.check(), c.Audit.check(), c.TLS.check())
	all = append(all, c.Users.check(c.MaxConnectionsPerUser), c.Drain.check(), c.Rebalance.check(), c.RedisStart.check(),
		c.Base.check(), c.Alerts.check(), c.Events.check(), c.Durable.check(c.RedisURL), c.Rooms.check(), c.Dashboard.check())
	if _, err := c.Proxies(); err != nil {
		bad("%v", err)
	}
	if c.MaxQueuedBytes < 4*c.MaxFrameBytes {
		bad("--max-queued-bytes %d and --max-inbound-frame-bytes %d don't fit: the first must be at least 4 times the second",
			c.MaxQueuedBytes, c.MaxFrameBytes)
	}
	return errors.Join(append(all, c.checkEdge()...)...)
}

// Proxies are the networks of TrustedProxies.
func (c *Config) Proxies() ([]*net.IPNet, error) {
	var all []*net.IPNet
	for _, p := range c.TrustedProxies {
		_, network, err := net.ParseCIDR(strings.TrimSpace(p))
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxies %q is no network: write it like 10.0.0.0/8, or 192.0.2.7/32 for one address", p)
		}
		all = append(all, network)
	}
	return all, nil
}
