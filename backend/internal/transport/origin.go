package transport

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/wire"
)

// anyOrigin among Options.Origins lets all pages in.
const anyOrigin = "*"

// CheckOrigin refuses a request of a web page that may not connect: one from another host than
// this, unless Options.Origins names it. A request without Origin comes from no page. It is one
// rule for all transports: a browser opens a WebSocket to any host, with what the page's reader may
// reach, and asks before it hands the answer of an HTTP request to a page of another origin.
func (g *Gate) CheckOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(g.Origins, origin) || slices.Contains(g.Origins, anyOrigin) {
		return nil
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && u.Host == r.Host {
		return nil
	}
	return wire.Errorf(wire.CodeForbidden, "pages of %.100q may not connect: add it to ALLOWED_ORIGINS, or * for all", origin)
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
			return g.Refuse(err)
		}
		switch origin := c.Request().Header.Get("Origin"); {
		case slices.Contains(g.Origins, anyOrigin):
			h.Set("Access-Control-Allow-Origin", "*")
		case origin != "":
			h.Set("Access-Control-Allow-Origin", origin)
		}
		h.Set("Access-Control-Expose-Headers", "Retry-After")
		return next(c)
	}
}

// preflight answers the question itself.
func preflight(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Allow", "GET, POST, OPTIONS")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID, Cache-Control")
	h.Set("Access-Control-Max-Age", "600")
	return c.NoContent(http.StatusNoContent)
}
