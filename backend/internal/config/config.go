// Package config holds every setting once: its flag, its environment name, its default and its help.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/alecthomas/kong"
)

// Config is what the server can be told. The tags are the documentation.
type Config struct {
	Listen            string        `env:"LISTEN" default:"127.0.0.1:3001" help:"Address to listen on, host:port. Port 0 takes a free one."`
	NodeName          string        `env:"NODE_NAME" help:"Name of this instance; the host name with a random end when empty."`
	AllowAnonymous    bool          `env:"ALLOW_ANONYMOUS" help:"Permit an address that others can reach although no authentication is set."`
	PublishKeys       []string      `env:"PUBLISH_KEYS" help:"Keys of the services that may publish, separated by commas (Authorization: Bearer KEY)."`
	OperatorPassword  string        `env:"OPERATOR_PASSWORD" help:"Password of the user operator for the dashboard (HTTP Basic)."`
	HeartbeatInterval time.Duration `env:"HEARTBEAT_INTERVAL" default:"30s" help:"Time between two heartbeats of a connection."`
	DrainTimeout      time.Duration `env:"DRAIN_TIMEOUT" default:"10s" help:"Time in which connections are closed on shutdown."`
	HistoryMessages   int           `env:"HISTORY_MESSAGES" default:"1000" help:"Messages kept of each room to resume from."`
	HistoryAge        time.Duration `env:"HISTORY_AGE" default:"10m" help:"How long messages are kept to resume from."`
	MaxQueuedBytes    int           `env:"MAX_QUEUED_BYTES" default:"1048576" help:"Bytes that may wait for one connection before it is closed as slow (4408)."`
	MaxFrameBytes     int           `name:"max-inbound-frame-bytes" env:"MAX_INBOUND_FRAME_BYTES" default:"65536" help:"Bytes of one frame or message from a client or a service."`
	MaxConnections    int           `env:"MAX_CONNECTIONS" default:"19000" help:"Connections that this instance takes."`
	LogLevel          string        `env:"LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"Least severe level that is logged: debug, info, warn or error."`
	LogFormat         string        `env:"LOG_FORMAT" default:"text" enum:"text,json" help:"Format of the log: text or json."`
}

// Parse reads the settings from args and the environment. All mistakes are reported at once.
func Parse(args []string, options ...kong.Option) (*Config, error) {
	c := new(Config)
	p, err := kong.New(c, append([]kong.Option{kong.Name("zonecast"),
		kong.Description("Zonecast pushes what happens in a warehouse to everyone who has to know.")}, options...)...)
	if err != nil {
		return nil, err
	}
	if _, err := p.Parse(args); err != nil {
		return nil, err
	}
	return c, c.check()
}

func (c *Config) check() error {
	var all []error
	bad := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	host, _, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil:
		bad("--listen %q is not host:port: write for example 127.0.0.1:3001", c.Listen)
	case !loopback(host) && !c.AllowAnonymous:
		bad("--listen %s can be reached by others, and clients need no token: listen on 127.0.0.1, "+
			"or set ALLOW_ANONYMOUS=true if that is wanted", c.Listen)
	}
	for name, v := range map[string]int64{
		"--heartbeat-interval": int64(c.HeartbeatInterval), "--drain-timeout": int64(c.DrainTimeout),
		"--history-messages": int64(c.HistoryMessages), "--history-age": int64(c.HistoryAge),
		"--max-connections": int64(c.MaxConnections), "--max-inbound-frame-bytes": int64(c.MaxFrameBytes),
	} {
		if v <= 0 {
			bad("%s must be more than 0", name)
		}
	}
	if c.MaxQueuedBytes < 4*c.MaxFrameBytes {
		bad("--max-queued-bytes %d is too little: it must hold at least 4 frames of %d bytes", c.MaxQueuedBytes, c.MaxFrameBytes)
	}
	return errors.Join(all...)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
