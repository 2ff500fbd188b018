package transport

import "sync/atomic"

// adjustable is what can be changed while clients are connected. What is pointed to is never
// changed.
type adjustable struct {
	limits  atomic.Pointer[Limits]
	origins atomic.Pointer[[]string]
}

// Limits are those in force.
func (g *Gate) Limits() Limits { return *g.limits.Load() }

// Origins are those whose pages may connect; see Options.
func (g *Gate) Origins() []string { return *g.origins.Load() }

// SetOrigins says whose pages may connect from now on. Those that are connected stay.
func (g *Gate) SetOrigins(all []string) { g.origins.Store(&all) }

// SetLimits puts other limits in force, for frames and connections to come: those that are too many
// now stay. What was without a limit stays so, and so does which connection gives way, since nobody
// counted before; Connections is not changed.
func (g *Gate) SetLimits(l Limits) {
	now := g.Limits()
	now.Frames, now.UserFrames, now.AddressFrames = l.Frames, l.UserFrames, l.AddressFrames
	g.userFrames.SetRate(l.UserFrames)
	g.addressFrames.SetRate(l.AddressFrames)
	if g.users.SetMost(l.ConnectionsPerUser) {
		now.ConnectionsPerUser = l.ConnectionsPerUser
		g.userSessions.limit.Store(int64(l.ConnectionsPerUser))
	}
	if g.addresses.SetMost(l.ConnectionsPerAddress) {
		now.ConnectionsPerAddress = l.ConnectionsPerAddress
	}
	g.limits.Store(&now)
}
