package access

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"
)

// Hosts refuses requests that name another host than this server's with 421 (RFC 9110 section
// 15.5.20): those of a web page whose own name was made to point here (DNS rebinding), which its
// browser takes for requests to the page's own server. Allowed are the names of the [Place],
// without port; "*." at the beginning stands for one label or more, "*" for any host. The names of
// the loopback interface are always allowed, as is a request without Host, which no browser sends.
func Hosts(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if host := c.Request().Host; host != "" && !hostAllowed(placeOf(c).Hosts, host) {
			return echo.NewHTTPError(http.StatusMisdirectedRequest, "this server does not answer to the Host of the request: "+
				"add its name to ALLOWED_HOSTS, or have the proxy send another")
		}
		return next(c)
	}
}

func hostAllowed(allowed []string, host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if IsLoopback(host) {
		return true
	}
	for _, a := range allowed {
		a = strings.ToLower(strings.Trim(a, "[]"))
		if suffix, ok := strings.CutPrefix(a, "*"); a == host || ok && len(host) > len(suffix) && strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

// IsLoopback reports whether host, without port, names the loopback interface.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
