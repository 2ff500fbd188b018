//go:build !linux

package sse

import (
	"net"
	"time"
)

// boundUnacknowledged leaves it to the system how long a peer may acknowledge nothing.
func boundUnacknowledged(net.Conn, time.Duration) {}
