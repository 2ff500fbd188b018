package main

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/web/base"
)

// forwardedPrefix is how a proxy tells the path below which it shows the server.
const forwardedPrefix = "X-Forwarded-Prefix"

// below serves what a proxy shows below a path: routes are found without it, and browsers are told
// addresses with it. The path is BASE_PATH, which the proxy may pass on or take off, or what a
// trusted proxy that has taken it off says in X-Forwarded-Prefix.
func (a *clientAddresses) below(basePath string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			prefix := basePath
			if prefix == "" {
				prefix = a.prefixOf(c.Request())
			}
			if prefix == "" {
				return next(c)
			}
			if basePath != "" { // who names a path in a header has taken it off; else strangers could get past the proxy's rules
				takeOff(prefix, c.Request().URL) // in place: Echo looks routes up by the request that came
			}
			c.SetRequest(c.Request().WithContext(base.With(c.Request().Context(), prefix)))
			c.Response().Before(func() {
				h := c.Response().Header()
				if to := h.Get(echo.HeaderLocation); strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") {
					h.Set(echo.HeaderLocation, prefix+to)
				}
			})
			return next(c)
		}
	}
}

// prefixOf returns what a trusted proxy says.
func (a *clientAddresses) prefixOf(r *http.Request) string {
	said := r.Header.Get(forwardedPrefix)
	if said == "" || len(a.trusted) == 0 {
		return ""
	}
	from, ok := parseAddress(r.RemoteAddr)
	if !ok || !a.trusts(from) {
		return ""
	}
	prefix := strings.TrimRight(said, "/")
	if prefix != "" && config.CheckBasePath(prefix) != nil {
		a.noteUnreadable(forwardedPrefix, said, from)
		return ""
	}
	return prefix
}

// takeOff takes the prefix off a URL that begins with it. Others are those of a proxy that took it
// off, or of a probe.
func takeOff(prefix string, u *url.URL) {
	rest, ok := strings.CutPrefix(u.Path, prefix)
	if !ok || rest != "" && rest[0] != '/' {
		return
	}
	u.Path = "/" + strings.TrimPrefix(rest, "/")
	if u.RawPath != "" {
		// The prefix has no character that is ever escaped; who escapes one all the same finds
		// nothing.
		u.RawPath = "/" + strings.TrimPrefix(strings.TrimPrefix(u.RawPath, prefix), "/")
	}
}
