package main

import "net"

// A boundedListener bounds what the kernel holds for a client that does not read, which it would
// otherwise let grow to several MiB (tcp_wmem of tcp(7)): memory that no limit of ours would count,
// and data that gets old in it, however well the write queue conflates.
type boundedListener struct {
	net.Listener
	bytes int // of a socket's send buffer; 0 for as many as the system likes
}

// Accept implements net.Listener.
func (l boundedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if c, ok := conn.(*net.TCPConn); ok && l.bytes > 0 {
		_ = c.SetWriteBuffer(l.bytes) // it fails for a connection that is gone already
	}
	return conn, err
}
