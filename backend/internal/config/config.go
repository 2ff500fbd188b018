// Package config holds every setting once: its flag, its environment name, its default and its help.
//
//	cmd/zonecast ── embeds Config in its commands ──▶ kong ──▶ Config ── Check ──▶ every mistake at once
//
// docs/configuration.md is generated from it: go test ./internal/config -update
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/zonecast/zonecast/backend/internal/auth"
)

// Config is what the server can be told. The tags are the documentation.
type Config struct {
	Listen        string `env:"LISTEN" default:"127.0.0.1:3001" help:"Address to listen on, host:port. Port 0 takes a free one."`
	RedisURL      string `env:"REDIS_URL" placeholder:"URL" help:"Redis that the instances share, like redis://127.0.0.1:6379/0; rediss:// for TLS; any server of a Redis Cluster; Sentinels with ?master_name=. Without it the instance is alone and keeps everything in memory."`
	RedisCAFile   string `env:"REDIS_CA_FILE" placeholder:"FILE" help:"Certificates (PEM) that the certificate of Redis must descend from. Without it those that the system trusts."`
	RedisCertFile string `env:"REDIS_CERT_FILE" placeholder:"FILE" help:"Certificate (PEM) to show to Redis, if it asks for one."`
	RedisKeyFile  string `env:"REDIS_KEY_FILE" placeholder:"FILE" help:"Its key (PEM)."`
	NodeName      string `env:"NODE_NAME" placeholder:"NAME" help:"Name of this instance, unique in the cluster. Without it the host name with a random end."`

	AuthTokenSecret  string   `env:"AUTH_TOKEN_SECRET" placeholder:"SECRET" help:"Clients need a token: a JSON Web Token, signed with HS256 and this secret of at least 32 bytes."`
	PublishKeys      []string `env:"PUBLISH_KEYS" placeholder:"KEY,…" help:"Services need one of these keys to publish: Authorization: Bearer KEY. Separated by commas."`
	OperatorPassword string   `env:"OPERATOR_PASSWORD" placeholder:"PASSWORD" help:"The dashboard asks for it: HTTP Basic, user operator."`
	AllowedOrigins   []string `env:"ALLOWED_ORIGINS" placeholder:"ORIGIN,…" help:"Web pages that may connect, by their origin, like https://wall.example, beside those of this server's own host; * for all. Separated by commas."`
	AllowAnonymous   bool     `env:"ALLOW_ANONYMOUS" help:"Listen on an address that others can reach even if anyone may then connect, publish or see the dashboard."`

	HistoryMessages   int           `env:"HISTORY_MESSAGES" default:"1000" help:"Messages of each room that are kept for clients that come back."`
	HistoryAge        time.Duration `env:"HISTORY_AGE" default:"10m" help:"How long they are kept."`
	HeartbeatInterval time.Duration `env:"HEARTBEAT_INTERVAL" default:"30s" help:"Time between two heartbeats of a connection."`
	PongTimeout       time.Duration `env:"PONG_TIMEOUT" default:"10s" help:"How long after a heartbeat's ping its answer may take. A peer that is dead is found within HEARTBEAT_INTERVAL and this."`
	DrainTimeout      time.Duration `env:"DRAIN_TIMEOUT" default:"10s" help:"Time over which connections are closed on shutdown."`

	MaxConnections           int           `env:"MAX_CONNECTIONS" default:"0" help:"Connections that this instance takes; 0 for 19000, or as many as the limit of open files leaves."`
	MaxConnectionsPerUser    int           `env:"MAX_CONNECTIONS_PER_USER" default:"0" help:"Connections that it takes from one user, as named by the token; 0 for any number."`
	MaxConnectionsPerAddress int           `env:"MAX_CONNECTIONS_PER_ADDRESS" default:"0" help:"Connections that it takes from one address; 0 for any number, since a whole warehouse may sit behind one."`
	MaxQueuedBytes           int           `env:"MAX_QUEUED_BYTES" default:"1048576" help:"Bytes that may wait for one connection before it is closed as slow (4408)."`
	SendBufferBytes          int           `env:"SEND_BUFFER_BYTES" default:"131072" help:"Size of each connection's send buffer in the kernel (SO_SNDBUF; Linux takes twice as much memory); 0 leaves it to the system, which lets it grow to several MiB for a client that does not read."`
	SlowAfter                time.Duration `env:"SLOW_AFTER" default:"1s" help:"How long the oldest message may wait for a connection before it counts as slow."`
	PublishWait              time.Duration `env:"PUBLISH_WAIT" default:"2s" help:"How long a publisher waits for members of its room that are behind, before it is refused (429)."`
	RateLimitTokens          float64       `env:"RATE_LIMIT_TOKENS" default:"100" help:"Frames that a connection may send at once; 0 for any number."`
	RateLimitRefill          float64       `env:"RATE_LIMIT_REFILL" default:"10" help:"Frames more that it may send each second."`
	UserRateLimitTokens      float64       `env:"USER_RATE_LIMIT_TOKENS" default:"1000" help:"The same for all connections of one user, as named by the token, on this instance; 0 for any number."`
	UserRateLimitRefill      float64       `env:"USER_RATE_LIMIT_REFILL" default:"100" help:"Frames more that they may send each second."`
	AddressRateLimitTokens   float64       `env:"ADDRESS_RATE_LIMIT_TOKENS" default:"0" help:"The same for all connections from one address; 0 for any number."`
	AddressRateLimitRefill   float64       `env:"ADDRESS_RATE_LIMIT_REFILL" default:"0" help:"Frames more that they may send each second."`
	TrustedProxies           []string      `env:"TRUSTED_PROXIES" placeholder:"CIDR,…" help:"Networks of proxies whose X-Forwarded-For names the client's address, like 10.0.0.0/8. Separated by commas."`
	MaxFrameBytes            int           `name:"max-inbound-frame-bytes" env:"MAX_INBOUND_FRAME_BYTES" default:"65536" help:"Bytes of one frame from a client, and of the data of one message from a service."`

	DeflateFrom int `env:"DEFLATE_FROM" default:"1024" help:"Frames of at least so many bytes are compressed, once for all clients that can inflate them; 0 for never."`

	LogLevel  string `env:"LOG_LEVEL" default:"info" help:"Least severe level that is logged: debug, info, warn or error."`
	LogFormat string `env:"LOG_FORMAT" default:"text" help:"Format of the log: text or json."`
}

// DefaultListen is where the server listens when nothing else is said.
const DefaultListen = "127.0.0.1:3001"

// DefaultConnections is how many connections an instance takes when nothing else is said. With what else needs descriptors
// they fit a limit of 20,000.
const DefaultConnections = 19_000

// spareDescriptors is how many descriptors are left for what is no client: the listener, Redis, requests over HTTP.
const spareDescriptors = 200

// maxNodeName is the most bytes of NodeName.
const maxNodeName = 64

// Connections returns how many connections the instance takes where it may have this many descriptors. It is less than what
// was asked for only by default; the error says what to change.
func (c *Config) Connections(descriptors uint64) (int, error) {
	if c.MaxConnections > 0 {
		if need := uint64(c.MaxConnections) + spareDescriptors; need > descriptors {
			return 0, fmt.Errorf("--max-connections %d needs %d open files, and %d is the most that this process may have: "+
				"raise that limit (ulimit -Hn, LimitNOFILE, or ulimits of the container), or lower MAX_CONNECTIONS to %d",
				c.MaxConnections, need, descriptors, max(0, int64(descriptors)-spareDescriptors))
		}
		return c.MaxConnections, nil
	}
	if descriptors <= spareDescriptors {
		return 0, fmt.Errorf("this process may have %d open files only, which leaves none for connections: raise that limit (ulimit -Hn)", descriptors)
	}
	return int(min(DefaultConnections, descriptors-spareDescriptors)), nil
}

// Check reports all mistakes at once.
func (c *Config) Check() error {
	var all []error
	bad := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		bad("--listen %q is not host:port: write for example 127.0.0.1:3001", c.Listen)
	} else if open := c.open(); !loopback(host) && len(open) > 0 && !c.AllowAnonymous {
		bad("--listen %s can be reached by others, and %s. Listen on 127.0.0.1, set what is missing, or set ALLOW_ANONYMOUS=true "+
			"if that is wanted", c.Listen, strings.Join(open, ", "))
	}
	if n := len(c.AuthTokenSecret); n > 0 && n < auth.MinSecretBytes {
		bad("AUTH_TOKEN_SECRET has %d bytes: at least %d are needed, for example from openssl rand -hex 32", n, auth.MinSecretBytes)
	}
	if slices.ContainsFunc(c.PublishKeys, func(k string) bool { return strings.TrimSpace(k) != k || k == "" }) {
		bad("PUBLISH_KEYS has an empty key, or one with a space at its end: write them as KEY,KEY")
	}
	for _, o := range c.AllowedOrigins {
		if o == "*" {
			continue
		}
		if u, err := url.Parse(o); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != o {
			bad("ALLOWED_ORIGINS has %q, which is no origin: write it as browsers send it, like https://wall.example or http://10.0.0.7:8080", o)
		}
	}
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
		{"--slow-after", c.SlowAfter, time.Minute, "until then publishers wait for a client that does not read"},
		{"--publish-wait", c.PublishWait, time.Minute, "no publisher waits longer for its answer"},
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
			bad("--%s-tokens %v with --%s-refill %v lets nothing through in the long run: set both to at least 1 and more than 0, or the tokens to 0",
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
			bad("%s %d is more than the %d of --max-connections, which come first: lower it, or set it to 0 for any number", s.name, s.value, most)
		}
	}
	if c.MaxConnectionsPerUser > 0 && c.AuthTokenSecret == "" {
		bad("--max-connections-per-user %d limits nobody without AUTH_TOKEN_SECRET, since only tokens name users: set that, or 0 here", c.MaxConnectionsPerUser)
	}
	if len(c.NodeName) > maxNodeName || !utf8.ValidString(c.NodeName) || strings.ContainsFunc(c.NodeName, unicode.IsControl) {
		bad("--node-name %.80q stands in logs, metrics and frames: at most %d bytes of text without control characters", c.NodeName, maxNodeName)
	}
	for _, s := range []struct{ name, value, known string }{
		{"--log-level", c.LogLevel, "debug, info, warn, error"},
		{"--log-format", c.LogFormat, "text, json"},
	} {
		if !slices.Contains(strings.Split(s.known, ", "), s.value) {
			bad("%s %q is not one of %s", s.name, s.value, s.known)
		}
	}
	if (c.RedisCertFile == "") != (c.RedisKeyFile == "") {
		bad("--redis-cert-file and --redis-key-file go together: give both or neither")
	}
	if c.RedisURL == "" && cmp.Or(c.RedisCAFile, c.RedisCertFile, c.RedisKeyFile) != "" {
		bad("certificates for Redis are given, but no --redis-url: give it, or leave them out")
	}
	if _, err := c.Proxies(); err != nil {
		bad("%v", err)
	}
	if c.MaxQueuedBytes < 4*c.MaxFrameBytes {
		bad("--max-queued-bytes %d and --max-inbound-frame-bytes %d don't fit together: the first must be at least 4 times the second",
			c.MaxQueuedBytes, c.MaxFrameBytes)
	}
	return errors.Join(all...)
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

// open lists what anyone could do who reaches the server.
func (c *Config) open() []string {
	var open []string
	if c.AuthTokenSecret == "" {
		open = append(open, "anyone may connect (set AUTH_TOKEN_SECRET)")
	}
	if cmp.Or(c.AuthTokenSecret, strings.Join(c.PublishKeys, "")) == "" {
		open = append(open, "anyone may publish (set PUBLISH_KEYS)")
	}
	if c.OperatorPassword == "" {
		open = append(open, "anyone may see the dashboard (set OPERATOR_PASSWORD)")
	}
	return open
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
