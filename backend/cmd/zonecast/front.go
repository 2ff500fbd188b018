package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/body"
	"github.com/zonecast/zonecast/backend/internal/certs"
	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/edge"
	"github.com/zonecast/zonecast/backend/internal/lameduck"
)

// An adminFront is where operators and monitoring are, apart from the others.
type adminFront struct {
	listener net.Listener
	system   []net.Listener // under listener
	http     *http.Server
	graceful *lameduck.Server
}

// listen opens the addresses, within limits of their own: who fills one of them leaves the other
// alone.
func (s *server) listen() (err error) {
	proxies, _ := s.config.Proxies() // checked already
	all, perAddress := s.config.TCPConnections(descriptors())
	if s.listener, s.system, err = s.bounded(s.config.Listen, "--listen", edge.Options{Connections: all, ConnectionsPerAddress: perAddress, Proxies: proxies}); err != nil {
		return err
	}
	if s.config.AdminListen != "" {
		s.admin = new(adminFront)
		if s.admin.listener, s.admin.system, err = s.bounded(s.config.AdminListen, "--admin-listen", edge.Options{Connections: config.AdminConnections}); err != nil {
			return errors.Join(err, s.listener.Close())
		}
	}
	return nil
}

// bounded opens a list of addresses, and returns the system's listeners too.
func (s *server) bounded(list, flag string, o edge.Options) (l net.Listener, system []net.Listener, err error) {
	if system, err = listenOn(list, flag); err != nil {
		return nil, nil, err
	}
	o.SendBufferBytes, o.UserTimeout = s.config.SendBufferBytes, s.config.HeartbeatInterval+s.config.PongTimeout
	o.Refused = s.refuse
	bounded := edge.Listen(&acceptLogger{Listener: join(system), log: s.log, failed: s.metrics.AcceptFailures}, o)
	s.edges = append(s.edges, bounded)
	return bounded, system, nil
}

// closeListeners is for a server that does not come to serve.
func (s *server) closeListeners() error {
	err := s.listener.Close()
	if s.admin != nil {
		err = errors.Join(err, s.admin.listener.Close())
	}
	return err
}

// openCertificates opens those of TLS, if it is set.
func (s *server) openCertificates() (err error) {
	if !s.config.HasTLS() {
		return nil
	}
	o := s.config.Certificates()
	o.Log, o.OnReload = s.log, s.recordReload
	if s.certs, err = certs.Open(o); err != nil {
		return err
	}
	s.metrics.AddTLS(s.certs.NotAfter)
	return nil
}

// aboutTLS is what is logged at the start.
func (s *server) aboutTLS() string {
	if s.certs == nil {
		return "off"
	}
	return "certificate valid until " + s.certs.NotAfter().Format(time.RFC3339)
}

// newHTTP makes the servers of both addresses.
func (s *server) newHTTP(h http.Handler) {
	s.http = s.newFront(h, access.Place{Hosts: s.config.Hosts(s.config.Listen), Public: s.admin != nil})
	s.graceful = lameduck.New(s.http)
	s.graceful.Listen(s.system...)
	if s.admin != nil {
		s.admin.http = s.newFront(h, access.Place{Hosts: s.config.Hosts(s.config.AdminListen)})
		s.admin.graceful = lameduck.New(s.admin.http)
		s.admin.graceful.Listen(s.admin.system...)
	}
}

// maxStreams is how many requests one HTTP/2 connection may have at once, so that what it costs is
// bounded as that of an HTTP/1.1 connection is. Proxies with more clients open more connections.
const maxStreams = 32

// newFront returns a server of an address. Its ReadHeaderTimeout bounds the handshake of TLS too.
func (s *server) newFront(h http.Handler, place access.Place) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	front := &http.Server{Handler: body.Timed(h), Protocols: protocols, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 48 << 10, ErrorLog: httpLog(s.log, s.refuse),
		BaseContext: func(net.Listener) context.Context { return place.In(context.Background()) },
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: s.config.HeartbeatInterval, PingTimeout: s.config.PongTimeout, WriteByteTimeout: answerTimeout}}
	if s.certs == nil {
		protocols.SetUnencryptedHTTP2(true) // TLS is the proxy's
		return front
	}
	protocols.SetHTTP2(true)
	// Clients are asked for certificates where clients belong: operators have passwords.
	front.TLSConfig = s.certs.Config(place.Public || s.admin == nil)
	return front
}

func (s *server) serve(front *http.Server, l net.Listener) error {
	if s.certs != nil {
		return front.ServeTLS(l, "", "")
	}
	return front.Serve(l)
}

// urlOf is where this machine reaches the first address over TCP, or else what there is.
func (s *server) urlOf(system []net.Listener) string {
	scheme := "http://"
	if s.certs != nil {
		scheme = "https://"
	}
	i := slices.IndexFunc(system, func(l net.Listener) bool { return l.Addr().Network() == "tcp" })
	if i < 0 {
		return strings.Join(addresses(system), ", ")
	}
	address := system[i].Addr().(*net.TCPAddr)
	if address.IP.IsUnspecified() {
		return scheme + "127.0.0.1:" + strconv.Itoa(address.Port)
	}
	return scheme + address.String()
}

func (s *server) url() string { return s.urlOf(s.system) }

// adminURL is where operators and monitoring are.
func (s *server) adminURL() string {
	if s.admin == nil {
		return s.url()
	}
	return s.urlOf(s.admin.system)
}

// profiles serves the runtime's profiles (net/http/pprof), but for the command line, which may have
// secrets.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", http.NotFound)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
