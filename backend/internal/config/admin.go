package config

import (
	"fmt"
	"net"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/access"
)

// Admin has the settings of the address for operators.
type Admin struct {
	AdminListen string `env:"ADMIN_LISTEN" placeholder:"HOST:PORT" help:"A further address, for operators and monitoring: /ui/, /screen/, /metrics, /health/websocket/metrics, their part of /api/v1/, and /debug/pprof/ are only there then, and 404 at LISTEN. What is at LISTEN is there as well. Default: everything but /debug/pprof/ is at LISTEN."`
}

// AdminConnections is how many TCP connections there may be at ADMIN_LISTEN at once, besides those
// at LISTEN.
const AdminConnections = 64

// listens reports mistakes in the addresses, and what is open there to whoever reaches them.
func (c *Config) listens() (all []error) {
	for _, a := range []struct {
		flag, address string
		operators     bool // what is theirs is there
	}{{"--listen", c.Listen, c.AdminListen == ""}, {"--admin-listen", c.AdminListen, true}} {
		if a.address == "" && a.flag == "--admin-listen" {
			continue
		}
		host, port, err := net.SplitHostPort(a.address)
		open := c.unprotected(a.operators)
		switch {
		case err != nil:
			all = append(all, fmt.Errorf("%s %q is not host:port: write for example 127.0.0.1:3001", a.flag, a.address))
		case !access.IsLoopback(host) && len(open) > 0 && !c.AllowAnonymous:
			all = append(all, fmt.Errorf("%s %s can be reached by others, and %s: listen on 127.0.0.1, set what is missing, or set "+
				"ALLOW_ANONYMOUS=true", a.flag, a.address, strings.Join(open, ", ")))
		case a.flag == "--admin-listen" && port != "0" && overlap(a.address, c.Listen):
			all = append(all, fmt.Errorf("--admin-listen %s and --listen %s are both the same port of one address: choose another one, "+
				"or leave --admin-listen out", a.address, c.Listen))
		}
	}
	return all
}

// overlap reports whether two addresses can't be listened on together.
func overlap(a, b string) bool {
	host, port, _ := net.SplitHostPort(a)
	other, otherPort, _ := net.SplitHostPort(b)
	all := func(host string) bool {
		ip := net.ParseIP(host)
		return host == "" || ip != nil && ip.IsUnspecified()
	}
	return port == otherPort && (host == other || all(host) || all(other) || access.IsLoopback(host) && access.IsLoopback(other))
}

// HasProfiles reports whether /debug/pprof/ is there: at an address of its own, and neither for
// strangers nor for everybody who reaches it.
func (c *Config) HasProfiles() bool {
	host, _, _ := net.SplitHostPort(c.AdminListen)
	return c.AdminListen != "" && (c.operatorSet() || access.IsLoopback(host))
}

// reach says who reaches an address.
func reach(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil && access.IsLoopback(host) {
		return "programs on this machine"
	}
	return "who reaches " + address
}
