//go:build !linux

package sse

import (
	"net"
	"time"
)

// setTCPUserTimeout leaves it to the system how long a peer may acknowledge nothing.
func setTCPUserTimeout(net.Conn, time.Duration) {}
