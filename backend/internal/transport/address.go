package transport

import (
	"net/netip"

	"github.com/labstack/echo/v4"
)

// Address returns where a request comes from, as limits count it: an IPv6 network of 64 bits is one
// place, since whoever is there has as many addresses as they like.
func Address(c echo.Context) string { return network(c.RealIP()) }

func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() || a.Is4In6() {
		return address
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}
