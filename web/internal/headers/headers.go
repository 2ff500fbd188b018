// Package headers sets what every page of Zonecast tells the browser about safety.
//
//	dashboard ─┐
//	           ├─▶ headers.Page(w) ─▶ the browser runs nothing that did not come from /assets/
//	screen  ───┘
package headers

import "net/http"

// policy allows what the own origin serves and nothing inline: no script, no style, no event
// attribute in the HTML. Text that a publisher smuggles into a page could thus not run even if it
// escaped its escaping. The own origin includes its WebSocket and its event stream.
const policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors "

// Page sets the headers of a page that no other page may frame.
func Page(h http.Header) { set(h, "'none'") }

// Framed sets the headers of a page that pages of the same origin may frame, as signage players do.
// It runs the script and uses the style sheet of these hashes, which stand in it, and no others; a
// service worker of the own origin may serve it.
func Framed(h http.Header, script, style string) {
	set(h, "'self'; worker-src 'self'; script-src "+script+"; style-src "+style)
}

func set(h http.Header, ancestors string) {
	h.Set("Content-Security-Policy", policy+ancestors)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	// The address of a screen may hold a token: no other site is told where a click came from.
	h.Set("Referrer-Policy", "no-referrer")
	// What a page shows is old a second later.
	h.Set("Cache-Control", "no-store")
}
