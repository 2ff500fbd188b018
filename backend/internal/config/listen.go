package config

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/access"
)

// An Address is one that the server listens on.
type Address struct {
	// Network is "tcp", "unix" or "systemd".
	Network string
	// Text is host:port, the path of the socket, or the name of the sockets that systemd hands
	// over, empty for all of them.
	Text string
}

// String returns the address as it was written.
func (a Address) String() string {
	switch {
	case a.Network == "tcp", a.Text == "":
		return strings.TrimPrefix(a.Network, "tcp") + a.Text
	}
	return a.Network + ":" + a.Text
}

// local reports whether nobody but programs of this machine reaches the address. What systemd
// listens on is not known here.
func (a Address) local() bool {
	host, _, _ := net.SplitHostPort(a.Text)
	return a.Network == "unix" || a.Network == "tcp" && access.IsLoopback(host)
}

// Addresses reads a list of addresses: host:port, unix:/path, systemd or systemd:NAME.
func Addresses(list string) (all []Address, err error) {
	for text := range strings.SplitSeq(list, ",") {
		network, rest, _ := strings.Cut(strings.TrimSpace(text), ":")
		a := Address{network, rest}
		switch network {
		case "systemd":
		case "unix":
			if !filepath.IsAbs(rest) {
				return nil, fmt.Errorf("%q names no socket: write for example unix:/run/zonecast/http.sock", text)
			}
		default:
			a = Address{"tcp", strings.TrimSpace(text)}
			_, port, err := net.SplitHostPort(a.Text)
			if err != nil {
				return nil, fmt.Errorf("%q is not host:port: write for example 127.0.0.1:3001", text)
			}
			if _, err := net.LookupPort("tcp", port); err != nil {
				return nil, fmt.Errorf("%q has no port from 0 to 65535: write for example 127.0.0.1:3001", text)
			}
		}
		all = append(all, a)
	}
	return all, nil
}

// local reports whether nobody but programs of this machine reaches any of the addresses.
func local(list string) bool {
	all, err := Addresses(list)
	for _, a := range all {
		if !a.local() {
			return false
		}
	}
	return err == nil
}

// overlap returns the places of two addresses that can't both be listened on, or false.
func overlap(all []Address) (first, second int, found bool) {
	for second, a := range all {
		for first, b := range all[:second] {
			if a.overlaps(b) {
				return first, second, true
			}
		}
	}
	return 0, 0, false
}

func (a Address) overlaps(b Address) bool {
	if a.Network != "tcp" || b.Network != "tcp" {
		return a == b
	}
	host, port, _ := net.SplitHostPort(a.Text)
	other, otherPort, _ := net.SplitHostPort(b.Text)
	all := func(host string) bool {
		ip := net.ParseIP(host)
		return host == "" || ip != nil && ip.IsUnspecified()
	}
	return port == otherPort && port != "0" &&
		(host == other || all(host) || all(other) || access.IsLoopback(host) && access.IsLoopback(other))
}
