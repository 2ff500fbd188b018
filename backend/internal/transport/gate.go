package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/chance"
	"github.com/zonecast/zonecast/backend/internal/closures"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/logging"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/publishing"
	"github.com/zonecast/zonecast/backend/wire"
)

// The names of the transports: the label of the metrics, and what operators are shown.
const (
	WebSocket = "websocket"
	SSE       = "sse"
	Poll      = "poll"
)

// ActionTimeout bounds what joining rooms, or one frame from a client, may take.
const ActionTimeout = 30 * time.Second

// Options of a [Gate]. PongTimeout, Origins, Proxies, Log and Closures may be left out.
type Options struct {
	Hub           *hub.Hub
	Publisher     *publishing.Publisher
	Metrics       *metrics.Metrics
	Log           *slog.Logger
	Node          string
	Heartbeat     time.Duration
	PongTimeout   time.Duration // how long after a ping its answer is waited for (default wire.PongTimeout)
	MaxFrameBytes int
	Guard         *auth.Guard
	Limits        Limits
	// Origins are those whose pages may connect, like "https://wall.example" or
	// "https://*.example", beside this server's own; "*" for all.
	Origins []string
	// Proxies are the networks of those whose X-Forwarded-Proto is trusted.
	Proxies []*net.IPNet
	// Closures, if not nil, remembers which connections ended, and how many were refused.
	Closures *closures.Ring
}

// Limits are those of clients, over all transports together. Zero values are no limits.
type Limits struct {
	Connections           int
	ConnectionsPerUser    int  // of one user, as the token names it
	ReplaceOldest         bool // beyond ConnectionsPerUser the user's oldest connection ends, instead of refusing the new one
	ConnectionsPerAddress int
	Frames                limit.Rate // that one connection sends
	UserFrames            limit.Rate // of a user: frames, publications, requests for a stream or a poll and their rooms
	AddressFrames         limit.Rate // the same, from an address
}

// A Gate counts connections in and out. All transports of an instance share one.
type Gate struct {
	Options
	users, addresses          *limit.Count
	userFrames, addressFrames *limit.Keyed
	sessions                  sync.Map // of *atomic.Int64: open sessions by transport
	holders                   holders
	userSessions              userSessions
	closedLog, refusedLog     *slog.Logger
	refusedOrigins            refusedOrigins
	adjustable

	mu          sync.Mutex
	leaving     bool
	connections int // that were taken over, or are about to be
	refused     int // of those that are told so over the connection
}

// NewGate returns a gate that is open.
func NewGate(o Options) *Gate {
	o.PongTimeout = cmp.Or(o.PongTimeout, wire.PongTimeout)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gate{Options: o, closedLog: logging.Sampled(o.Log, "connection closed"), refusedLog: logging.Sampled(o.Log, "connection refused"),
		users: limit.NewCount(o.Limits.ConnectionsPerUser), addresses: limit.NewCount(o.Limits.ConnectionsPerAddress),
		userFrames: limit.NewKeyed(o.Limits.UserFrames), addressFrames: limit.NewKeyed(o.Limits.AddressFrames)}
	g.userSessions.limit.Store(int64(o.Limits.ConnectionsPerUser))
	g.limits.Store(&o.Limits)
	g.SetOrigins(o.Origins)
	return g
}

// AddTransport makes a transport known to the metrics, before the first client comes.
func (g *Gate) AddTransport(name string) {
	if _, known := g.sessions.LoadOrStore(name, new(atomic.Int64)); !known {
		g.Metrics.AddTransport(name, func() int { return g.Connections(name) })
	}
}

// Connections returns how many sessions of a transport are open.
func (g *Gate) Connections(transport string) int { return int(g.counter(transport).Load()) }

func (g *Gate) counter(transport string) *atomic.Int64 {
	n, _ := g.sessions.LoadOrStore(transport, new(atomic.Int64))
	return n.(*atomic.Int64)
}

// ReadTimeout is after how long without an answer a peer is taken for dead.
func (g *Gate) ReadTimeout() time.Duration { return g.Heartbeat + g.PongTimeout }

// Enter counts a connection in, or refuses it; about is for the log. Without an error, Leave has to
// follow.
func (g *Gate) Enter(address string, about ...any) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.leaving:
		return g.RefuseAs("draining", errLeaving, about...)
	case g.Options.Limits.Connections > 0 && g.connections >= g.Options.Limits.Connections:
		return g.RefuseAs(string(wire.CodeLimitReached), &wire.Error{Code: wire.CodeUnavailable, RetryAfter: retryWhenFull,
			Message: "connection limit reached (MAX_CONNECTIONS): connect to another instance, or later"}, about...)
	case !g.addresses.Enter(address):
		return g.RefuseAs("address_limit", &wire.Error{Code: wire.CodeLimitReached, RetryAfter: retryWhenFull,
			Message: fmt.Sprintf("connection limit of this address reached (%d): close another one first", g.addresses.Most())}, about...)
	}
	g.connections++
	return nil
}

// retryWhenFull is after how many ms it makes sense to look for room again.
const retryWhenFull = 5000

// Leave counts it out.
func (g *Gate) Leave(address string) {
	g.addresses.Leave(address)
	g.mu.Lock()
	g.connections--
	g.mu.Unlock()
}

// refusedAtOnce is how many refused connections may be told why at once, each for the time that an
// outbox gives a peer to take its closing frame. They take no connection's place.
const refusedAtOnce = 100

// EnterRefused counts in a connection that is to be told over itself why it is refused. The error
// is for the answer over HTTP instead. Without one, LeaveRefused has to follow.
func (g *Gate) EnterRefused(why error, about ...any) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.leaving:
		return g.RefuseAs("draining", errLeaving, about...)
	case g.refused >= refusedAtOnce:
		return g.Refuse(why, about...)
	}
	g.refused++
	return nil
}

// LeaveRefused counts it out.
func (g *Gate) LeaveRefused() {
	g.mu.Lock()
	g.refused--
	g.mu.Unlock()
}

var errLeaving = &wire.Error{Code: wire.CodeUnavailable, Message: "this instance is leaving: connect again", RetryAfter: 1000}

// EnterUser counts a connection of a user in, or refuses it; someone without a name is never
// refused, nor anybody where the newest connection replaces the oldest. Without an error, LeaveUser
// has to follow.
func (g *Gate) EnterUser(user string) error {
	if g.Options.Limits.ReplaceOldest || g.users.Enter(user) {
		return nil
	}
	return &wire.Error{Code: wire.CodeLimitReached, RetryAfter: retryWhenFull,
		Message: fmt.Sprintf("connection limit of this user reached (%d): close another one first", g.users.Most())}
}

// LeaveUser counts it out.
func (g *Gate) LeaveUser(user string) {
	if !g.Options.Limits.ReplaceOldest {
		g.users.Leave(user)
	}
}

// RefuseAs counts a connection that is refused before it is open, by reason, and returns the error.
// The log has further attributes about it.
func (g *Gate) RefuseAs(reason string, err error, about ...any) error {
	g.Metrics.RefuseConnection(reason)
	g.Closures.Refused(reason)
	g.refusedLog.Info("connection refused", append([]any{"reason", reason, "error", err}, about...)...)
	return err
}

// Refuse is RefuseAs with the code of the error as the reason.
func (g *Gate) Refuse(err error, about ...any) error {
	return g.RefuseAs(string(wire.AsError(err).Code), err, about...)
}

// RefusalCode is how a connection ends whose client was not let in.
func RefusalCode(err error) wire.CloseCode {
	switch wire.AsError(err).Code {
	case wire.CodeForbidden:
		return wire.CloseForbidden
	case wire.CodeLimitReached, wire.CodeRateLimited:
		return wire.CloseLimit
	case wire.CodeUnavailable, wire.CodeInternal:
		return wire.CloseRestart // nobody could tell: the client may come back with this token
	}
	return wire.CloseUnauthenticated
}

// Allow takes n frames out of the rate limits of a user and an address, or returns how long to
// wait. An empty name has no limit.
func (g *Gate) Allow(user, address string, n int, now time.Time) (wait time.Duration) {
	return g.allow(user, n, address, n, now)
}

func (g *Gate) allow(user string, ofUser int, address string, ofAddress int, now time.Time) (wait time.Duration) {
	if wait = g.userFrames.Spend(user, float64(ofUser), now); wait > 0 {
		return wait
	}
	if wait = g.addressFrames.Spend(address, float64(ofAddress), now); wait > 0 {
		g.userFrames.Return(user, float64(ofUser)) // the address's others don't use up what is the user's
	}
	return wait
}

// AllowAddress takes a frame of the address that a request comes from, before anybody looks at
// whose it is, or returns the error to answer with: so tokens and keys are not guessed for nothing.
func (g *Gate) AllowAddress(c echo.Context) error {
	return orRateLimited(g.allow("", 0, Address(c), 1, time.Now()))
}

// ReturnAddress gives back what AllowAddress took, for who comes with a good token and may come
// with thousands of others at once.
func (g *Gate) ReturnAddress(c echo.Context) { g.addressFrames.Return(Address(c), 1) }

// AllowRequest takes n frames for a request, out of the same limits as those over WebSocket, or
// returns the error to answer with. The first one of its address AllowAddress has taken.
func (g *Gate) AllowRequest(c echo.Context, user string, n int) error {
	return orRateLimited(g.allow(user, n, Address(c), n-1, time.Now()))
}

func orRateLimited(wait time.Duration) error {
	if wait > 0 {
		return ErrRateLimited(wait)
	}
	return nil
}

// ErrRateLimited returns the error for a frame that comes too early.
func ErrRateLimited(wait time.Duration) error {
	return &wire.Error{Code: wire.CodeRateLimited, Message: "rate limit reached: send the next frame or request after that time",
		RetryAfter: (wait + time.Millisecond - 1).Milliseconds()}
}

// Clients that are sent away come back at random within these times: those that leave one after the
// other soon, so that what they miss meanwhile is little; those that leave at once over a longer
// time.
const (
	SpreadWhenPaced  = 500 * time.Millisecond
	SpreadWhenAtOnce = 2 * time.Second
	soonest          = 100 * time.Millisecond
)

// ReconnectDelay is when a client that is sent away should be back.
func ReconnectDelay(spread time.Duration) time.Duration { return soonest + chance.N(spread-soonest) }

// AskToReconnect closes a connection and tells its client when to connect again, here or elsewhere.
func AskToReconnect(s *hub.Session, reason string, spread time.Duration) {
	s.Explain(reason)
	s.Queue.Send(outbox.NewDrain(ReconnectDelay(spread)))
	s.Queue.Close(wire.CloseRestart, reason)
}

const (
	// lastWait is how long connections have to end after they were hung up.
	lastWait = time.Second
	// lookAgain is between two looks at the connections that are left.
	lookAgain = 20 * time.Millisecond
)

// spreadShare is the part of the time to drain over which clients are sent away; the rest is for
// those that are slow to go.
const spreadShare = 0.75

// Drain lets nobody in any more, tells each client to come back elsewhere and closes the
// connections, spread over three quarters of the time that ctx gives. It returns how many clients
// were told, and how many connections had to be cut at the end of that time. When ctx is cancelled,
// who was not told yet stays.
func (g *Gate) Drain(ctx context.Context) (moved, cut int) {
	if isCancelled(ctx) {
		return 0, 0
	}
	g.mu.Lock()
	g.leaving = true
	g.mu.Unlock()
	sessions := g.Hub.Sessions()
	hub.OldestFirst(sessions)
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now()
	}
	pause := time.Duration(spreadShare * float64(time.Until(until)) / float64(len(sessions)+1))
	told := make(map[*hub.Session]bool, len(sessions))
	tell := func(s *hub.Session) {
		told[s] = true
		s.Explain("its instance was leaving")
		AskToReconnect(s, "restart: reconnect", SpreadWhenPaced)
	}
	for _, s := range sessions {
		tell(s)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		if isCancelled(ctx) {
			return len(told), 0
		}
	}
	for ctx.Err() == nil {
		if g.isEmpty() {
			return len(told), 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookAgain):
			for _, s := range g.Hub.Sessions() { // who was let in just before, and opened since
				if !told[s] {
					tell(s)
				}
			}
		}
	}
	if isCancelled(ctx) {
		return len(told), 0
	}
	left := g.Hub.Sessions()
	for _, s := range left {
		s.Queue.Hangup(wire.CloseRestart)
	}
	for last := time.Now().Add(lastWait); !g.isEmpty(); time.Sleep(lookAgain) {
		if time.Now().After(last) { // what a connection is in the middle of may take ActionTimeout
			g.Log.Warn("connections are left behind, in the middle of something", "connections", g.Hub.Connections())
			break
		}
	}
	return len(told), len(left)
}

func isCancelled(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// isEmpty reports whether nobody is counted in.
func (g *Gate) isEmpty() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.connections+g.refused == 0
}

// Reopen lets clients in again, after a Drain that has returned.
func (g *Gate) Reopen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leaving = false
}
