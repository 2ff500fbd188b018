package config

import (
	"fmt"
	"strings"
)

// Admin has the settings of the address for operators.
type Admin struct {
	AdminListen string `env:"ADMIN_LISTEN" placeholder:"ADDRESS,…" help:"A further address or list of them, for operators and monitoring: /ui/, /screen/, /metrics, /health/websocket/metrics, their part of /api/v1/, and /debug/pprof/ are only there then, and 404 at LISTEN. What is at LISTEN is there as well. Default: everything but /debug/pprof/ is at LISTEN."`
}

// AdminConnections is how many TCP connections there may be at ADMIN_LISTEN at once, besides those
// at LISTEN.
const AdminConnections = 64

// listens reports mistakes in the addresses, and what is open there to whoever reaches them.
func (c *Config) listens() (all []error) {
	var listened []Address
	flags := map[int]string{} // by place in listened
	for _, l := range []struct {
		flag, list string
		operators  bool // what is theirs is there
	}{{"--listen", c.Listen, c.AdminListen == ""}, {"--admin-listen", c.AdminListen, true}} {
		if l.list == "" && l.flag == "--admin-listen" {
			continue
		}
		addresses, err := Addresses(l.list)
		if err != nil {
			all = append(all, fmt.Errorf("%s %w", l.flag, err))
			continue
		}
		if open := c.unprotected(l.operators); !local(l.list) && len(open) > 0 && !c.AllowAnonymous {
			all = append(all, fmt.Errorf("%s %s can be reached by others, and %s: listen on 127.0.0.1, set what is missing, or set "+
				"ALLOW_ANONYMOUS=true", l.flag, l.list, strings.Join(open, ", ")))
		}
		for _, a := range addresses {
			flags[len(listened)] = l.flag
			listened = append(listened, a)
		}
	}
	if i, j, found := overlap(listened); found {
		all = append(all, fmt.Errorf("%s %s and %s %s are both the same port of one address: choose another one, or leave %s out",
			flags[j], listened[j], flags[i], listened[i], flags[j]))
	}
	return all
}

// HasProfiles reports whether /debug/pprof/ is there: at an address of its own, and neither for
// strangers nor for everybody who reaches it.
func (c *Config) HasProfiles() bool {
	return c.AdminListen != "" && (c.operatorSet() || local(c.AdminListen))
}

// reach says who reaches an address.
func reach(address string) string {
	if local(address) {
		return "programs on this machine"
	}
	return "who reaches " + address
}
