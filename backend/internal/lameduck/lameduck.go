// Package lameduck ends an HTTP server so that every request that was sent is answered.
//
//	listener ──▶ Server ──▶ http.Server ──▶ handlers
//	Leave     each answer asks its client to close the connection (HTTP/2: GOAWAY)
//	Shutdown  no handshake begins ─▶ what was accepted is answered ─▶ idle connections end
//
// A server that closes an idle connection races with the request that its client sends at that
// moment, and the client can't tell whether it was carried out (RFC 9112 section 9.3.1). So
// connections are closed by clients, as far as these do.
package lameduck

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// IdleGrace is how long a connection must have been idle before the server closes it: longer
	// than a proxy keeps one (nginx.conf: keepalive_timeout of its upstreams).
	IdleGrace = 3 * time.Second
	// handshakeTime is what clients have to end a TCP handshake that they began.
	handshakeTime = 100 * time.Millisecond
	// lookAgain is between two looks at the connections that are left.
	lookAgain = 20 * time.Millisecond
)

// A Server is an http.Server that can leave. It takes the place of ConnState and Handler.
type Server struct {
	http    *http.Server
	leaving atomic.Bool

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[net.Conn]use
}

// use is what a connection is used for.
type use struct {
	since     time.Time // when it was idle last, or began to send a request
	answering bool      // a handler works on a request
}

type connKey struct{}

// New returns a server that leaves with Shutdown instead of s.Shutdown.
func New(s *http.Server) *Server {
	l := &Server{http: s, conns: map[net.Conn]use{}}
	handler := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
			l.answers(c)
		}
		handler.ServeHTTP(w, r)
	})
	s.ConnState = l.observe
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
	return l
}

// Listen remembers listeners, to end them with Shutdown. They have to be the system's own, whatever
// is served from them.
func (s *Server) Listen(all ...net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, all...)
}

func (s *Server) observe(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle, http.StateActive:
		s.conns[c] = use{since: time.Now()}
	case http.StateHijacked, http.StateClosed:
		delete(s.conns, c)
	}
}

// answers notes that a connection has a request, not only the beginning of one.
func (s *Server) answers(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u, open := s.conns[c]; open {
		u.answering = true
		s.conns[c] = u
	}
}

// Leave makes each answer the last one of its connection. Everything is served as before.
func (s *Server) Leave() { s.leaving.Store(true) }

// Shutdown stops listening and returns when every request is answered and no client can be about
// to send one, or when ctx ends: what is still under way then is cut off, and the error is that of
// ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Leave()
	s.stopListening()
	for s.inUse(time.Now()) && pause(ctx, lookAgain) {
	}
	// What is left has no request, or the beginning of one that does not go on.
	last, cancel := context.WithTimeout(ctx, lookAgain)
	defer cancel()
	err := s.http.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		_ = s.http.Close()
		err = ctx.Err()
	}
	if errors.Is(err, net.ErrClosed) {
		err = nil // of the listeners, which are closed already
	}
	return err
}

// stopListening closes the listeners without dropping a connection that its client takes for
// established: the kernel would reset those that wait to be accepted.
func (s *Server) stopListening() {
	s.mu.Lock()
	listeners := s.listeners
	s.mu.Unlock()
	wait := false
	for _, l := range listeners {
		wait = refuseHandshakes(l) || wait
	}
	if wait {
		time.Sleep(handshakeTime) // meanwhile the server accepts what has come
	}
	for _, l := range listeners {
		_ = l.Close() // it may be closed already
	}
}

// inUse reports whether a connection has a request, or may get one.
func (s *Server) inUse(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.conns {
		if u.answering || now.Sub(u.since) < IdleGrace {
			return true
		}
	}
	return false
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
