// Package example writes the commands that Zonecast's pages offer for copying when there is nothing
// to show yet. They name the server as the reader of the page reached it, so that they work as they
// stand.
package example

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/zonecast/zonecast/web/base"
)

// hostShape is what a Host may look like to be shown in a command that people paste into a shell.
var hostShape = regexp.MustCompile(`^[A-Za-z0-9.\-:\[\]]{1,255}$`)

// Origin is how the sender of the request reached the server, behind a proxy too:
// "http://host:port", and a path that the proxy shows it below.
func Origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	if !hostShape.MatchString(r.Host) {
		return scheme + "://localhost" + base.Of(r.Context())
	}
	return scheme + "://" + r.Host + base.Of(r.Context())
}

// Broadcast is a command that publishes body, JSON without a single quote, to a zone. With
// keyRequired it shows where the publisher's key goes.
func Broadcast(origin, warehouse, zone, body string, keyRequired bool) string {
	lines := []string{"curl " + origin + "/api/v1/warehouses/" + warehouse + "/zones/" + zone + "/broadcast"}
	if keyRequired {
		lines = append(lines, `  -H "Authorization: Bearer $PUBLISH_KEY"`)
	}
	lines = append(lines, "  -H 'Content-Type: application/json'", "  -d '"+body+"'")
	return strings.Join(lines, " \\\n")
}
