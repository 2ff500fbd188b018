//go:build !linux

package edge

import (
	"net"
	"time"
)

// setUserTimeout leaves it to the system how long a peer may acknowledge nothing.
func setUserTimeout(*net.TCPConn, time.Duration) {}

// SetReceiveBuffer leaves it to the system how much it holds of what nobody reads.
func SetReceiveBuffer(net.Listener, int) {}

// unsent is not known: Close leaves what was written to the system.
func unsent(*net.TCPConn) int { return 0 }
