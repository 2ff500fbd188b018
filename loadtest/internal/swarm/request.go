//go:build linux

package swarm

import "github.com/zonecast/zonecast/loadtest/internal/http1"

// Ask sends a request on a connection of mode Requests that is idle. Host and token are the target's, if the request has
// none.
func (l *Loop) Ask(c *Conn, r *http1.Request) {
	r.Host = c.target.Host
	if r.Token == "" {
		r.Token = c.target.Token
	}
	c.asked = true
	c.out = http1.AppendRequest(c.out, r)
	l.flush(c)
}
