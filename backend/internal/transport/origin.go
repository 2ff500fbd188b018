package transport

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/requestid"
	"github.com/zonecast/zonecast/backend/wire"
)

// anyOrigin among Options.Origins lets all pages in.
const anyOrigin = "*"

// CheckOrigin refuses a request of a web page that may not connect: one of another origin than
// this server's, scheme included, unless Options.Origins names it. A request without Origin comes
// from a program or a page of this server, unless the browser says that it crosses sites. It is one
// rule for all transports: a browser opens a WebSocket to any host, with what the page's reader may
// reach, and asks before it hands the answer of an HTTP request to a page of another origin.
func (g *Gate) CheckOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	switch {
	case slices.Contains(g.Origins(), anyOrigin):
		return nil
	case origin == "":
		if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
			return wire.Errorf(wire.CodeForbidden, "pages of other sites may not connect without saying which they are (Origin)")
		}
		return nil
	case slices.ContainsFunc(g.Origins(), func(allowed string) bool { return originMatches(allowed, origin) }):
		return nil
	}
	own := g.scheme(r) + "://" + r.Host
	if strings.EqualFold(origin, withoutDefaultPort(own)) {
		return nil
	}
	g.refusedOrigins.log(g.Log, origin, own)
	return wire.Errorf(wire.CodeForbidden, "pages of %.100q may not connect to %.100q: add it to ALLOWED_ORIGINS, or * for all; "+
		"if this is the same server behind a proxy, have it pass Host and X-Forwarded-Proto on and set TRUSTED_PROXIES", origin, own)
}

// originMatches reports whether origin is the allowed one; "*." stands for one label or more.
func originMatches(allowed, origin string) bool {
	allowed = withoutDefaultPort(allowed)
	scheme, suffix, pattern := strings.Cut(allowed, "://*.")
	if !pattern {
		return allowed == origin
	}
	host, ok := strings.CutPrefix(origin, scheme+"://")
	return ok && len(host) > len(suffix)+1 && strings.HasSuffix(host, "."+suffix)
}

// withoutDefaultPort returns an origin as browsers send it (RFC 6454, section 6.2): without the
// port of its scheme, which a proxy may add to Host, and an operator to the setting.
func withoutDefaultPort(origin string) string {
	for scheme, port := range map[string]string{"http://": ":80", "https://": ":443"} {
		if strings.HasPrefix(origin, scheme) {
			return strings.TrimSuffix(origin, port)
		}
	}
	return origin
}

// maxRefusedOrigins is how many are logged: whoever makes them up writes no more than that.
const maxRefusedOrigins = 100

// refusedOrigins are those that were refused, each of which is logged once.
type refusedOrigins struct {
	mu  sync.Mutex
	had map[string]bool
}

func (o *refusedOrigins) log(log *slog.Logger, origin, own string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.had[origin] || len(o.had) == maxRefusedOrigins {
		return
	}
	if o.had == nil {
		o.had = make(map[string]bool)
	}
	o.had[origin] = true
	log.Warn("a web page of another origin was refused: if it is yours, add its origin to ALLOWED_ORIGINS",
		"origin", fmt.Sprintf("%.100s", origin), "server", fmt.Sprintf("%.100s", own))
}

// ForwardedScheme returns what a proxy says of how it was reached, "https" or "http", and "" for
// nothing that can be read. Some name WebSocket's own schemes, and a chain of proxies a list, the
// outermost first.
func ForwardedScheme(r *http.Request) string {
	said, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	switch strings.ToLower(strings.TrimSpace(said)) {
	case "https", "wss":
		return "https"
	case "http", "ws":
		return "http"
	}
	return ""
}

// scheme returns how the browser reached this server: as a trusted proxy says, or over TLS or not.
func (g *Gate) scheme(r *http.Request) string {
	if said := ForwardedScheme(r); said != "" {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		ip := net.ParseIP(host)
		if slices.ContainsFunc(g.Proxies, func(n *net.IPNet) bool { return n.Contains(ip) }) {
			return said
		}
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// crossOrigin lets pages of other origins read the answers, as far as CheckOrigin lets them in, and
// answers the browser's question before (https://fetch.spec.whatwg.org/#http-cors-protocol).
// Nothing that a browser sends by itself counts here, neither cookies nor logins, so that any
// origin may be let in.
func (g *Gate) crossOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Add("Vary", "Origin")
		if err := g.CheckOrigin(c.Request()); err != nil {
			return g.Refuse(err, requestid.Attr(c))
		}
		switch origin := c.Request().Header.Get("Origin"); {
		case slices.Contains(g.Origins(), anyOrigin):
			h.Set("Access-Control-Allow-Origin", "*")
		case origin != "":
			h.Set("Access-Control-Allow-Origin", origin)
		}
		h.Set("Access-Control-Expose-Headers", "Retry-After, "+requestid.Header)
		return next(c)
	}
}

// preflight answers the question itself.
func preflight(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Allow", "GET, POST, OPTIONS")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID, Cache-Control, "+requestid.Header)
	h.Set("Access-Control-Max-Age", "600")
	return c.NoContent(http.StatusNoContent)
}
