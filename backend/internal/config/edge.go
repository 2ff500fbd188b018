package config

import "fmt"

// Edge has the settings of TCP connections, before HTTP sees them.
type Edge struct {
	MaxTCPConnections           int `name:"max-tcp-connections" env:"MAX_TCP_CONNECTIONS" default:"0" help:"Maximum TCP connections at once, whatever they are used for; more are reset. 0 = MAX_CONNECTIONS and 1000, or what RLIMIT_NOFILE allows."`
	MaxTCPConnectionsPerAddress int `name:"max-tcp-connections-per-address" env:"MAX_TCP_CONNECTIONS_PER_ADDRESS" default:"0" help:"Maximum TCP connections at once from one address, but those of TRUSTED_PROXIES; more are reset. 0 = half of those beyond MAX_CONNECTIONS are left to other addresses; with MAX_CONNECTIONS_PER_ADDRESS, 100 more than that."`
}

const (
	// requestConnections is how many TCP connections there may be beyond those of clients, for
	// requests over HTTP.
	requestConnections = 1000
	// fewRequestConnections is how many there are at least: half of spareDescriptors.
	fewRequestConnections = spareDescriptors / 2
)

// TCPConnections returns how many TCP connections there may be at once, and how many of one
// address, where the process may have this many descriptors.
func (c *Config) TCPConnections(descriptors uint64) (all, perAddress int) {
	clients, _ := c.Connections(descriptors) // its error is the caller's
	all, perAddress = c.MaxTCPConnections, c.MaxTCPConnectionsPerAddress
	if all == 0 {
		all = clients + max(fewRequestConnections,
			int(min(requestConnections, int64(min(descriptors, 1<<40))-int64(clients)-fewRequestConnections)))
	}
	if c.AdminListen != "" && c.MaxTCPConnections == 0 {
		all -= AdminConnections // of the same descriptors
	}
	switch {
	case perAddress > 0:
	case c.MaxConnectionsPerAddress > 0:
		perAddress = min(all, c.MaxConnectionsPerAddress+fewRequestConnections)
	default:
		perAddress = all - max(0, all-clients)/2
	}
	return all, perAddress
}

func (c *Config) checkEdge() (all []error) {
	for _, s := range []struct {
		name         string
		value, least int
	}{
		{"--max-tcp-connections", c.MaxTCPConnections, c.MaxConnections},
		{"--max-tcp-connections-per-address", c.MaxTCPConnectionsPerAddress, c.MaxConnectionsPerAddress},
	} {
		if s.value < 0 || s.value > 0 && s.value < s.least {
			all = append(all, fmt.Errorf("%s %d is less than the %d connections of clients that are allowed: raise it, or set it to 0",
				s.name, s.value, max(0, s.least)))
		}
	}
	return all
}
