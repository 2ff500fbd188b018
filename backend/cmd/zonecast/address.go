package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/config"
)

// suspicious is after how many requests of clients without X-Forwarded-For, directly from trusted
// proxies, the operator is warned.
const suspicious = 100

// clientAddresses finds out where requests come from.
type clientAddresses struct {
	trusted []*net.IPNet
	log     *slog.Logger
	bare    atomic.Int64 // requests from trusted proxies without X-Forwarded-For
	warned  sync.Map     // headers that could not be read, each of which was logged once
}

func newClientAddresses(c *config.Config, log *slog.Logger) *clientAddresses {
	proxies, _ := c.Proxies() // checked already
	return &clientAddresses{trusted: proxies, log: log}
}

// extractor is for Echo.
func (a *clientAddresses) extractor() echo.IPExtractor {
	if len(a.trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	return a.of
}

// of returns the address of the client: of what X-Forwarded-For lists, from the right, the first
// that is no trusted proxy. What is no address can't be trusted, nor what stands before it: the
// proxy that passed it on is the client then.
func (a *clientAddresses) of(r *http.Request) string {
	client, ok := parseAddress(r.RemoteAddr)
	if !ok || !a.trusts(client) {
		return client.String()
	}
	hops := strings.Split(strings.Join(r.Header.Values(echo.HeaderXForwardedFor), ","), ",")
	if len(hops) == 1 && hops[0] == "" {
		a.noteBare(r, client)
		return client.String()
	}
	for i := len(hops) - 1; i >= 0 && a.trusts(client); i-- {
		hop, ok := parseAddress(strings.TrimSpace(hops[i]))
		if !ok {
			a.noteUnreadable(echo.HeaderXForwardedFor, hops[i], client)
			break
		}
		client = hop
	}
	return client.String()
}

func (a *clientAddresses) trusts(address netip.Addr) bool {
	for _, network := range a.trusted {
		if network.Contains(address.AsSlice()) {
			return true
		}
	}
	return false
}

// noteBare warns once when clients seem to be among the trusted proxies. Probes of a proxy have no
// X-Forwarded-For either.
func (a *clientAddresses) noteBare(r *http.Request, from netip.Addr) {
	switch r.URL.Path {
	case "/livez", "/readyz", "/metrics", "/health/websocket/metrics":
		return
	}
	if a.bare.Add(1) == suspicious {
		a.log.Warn("requests come from TRUSTED_PROXIES without X-Forwarded-For: if these are clients, they can claim any address; "+
			"list the proxies alone", "address", from, "requests", suspicious)
	}
}

// noteUnreadable warns once of each header that a trusted proxy sends and nobody can read: what it
// should tell is then not known.
func (a *clientAddresses) noteUnreadable(header, value string, from netip.Addr) {
	if _, had := a.warned.LoadOrStore(header, true); !had {
		a.log.Warn("a trusted proxy sends a header that can't be read, so it is left out: see what the proxy is told to set",
			"header", header, "value", fmt.Sprintf("%.60q", value), "address", from)
	}
}

// parseAddress reads an address with or without a port: 1.2.3.4, 1.2.3.4:567, ::1, [::1], [::1]:8.
func parseAddress(text string) (netip.Addr, bool) {
	if with, err := netip.ParseAddrPort(text); err == nil {
		return with.Addr().WithZone("").Unmap(), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); !ok {
			return netip.Addr{}, false
		}
		text = inner
	}
	address, err := netip.ParseAddr(text)
	return address.WithZone("").Unmap(), err == nil
}
