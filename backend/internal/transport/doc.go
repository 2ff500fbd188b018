// Package transport is what all transports share: who is let in, what a request asks for, what a
// client may do.
//
//	GET /ws, /sse, /poll ──▶ ws, sse, poll ── Enter, Admit, Open ──▶ Gate ──▶ hub, auth, limit
//	POST /sse, /poll ──▶ Gate.ServeClientFrame ── publish ──▶ publishing ──▶ hub
//	SIGTERM ──▶ Gate.Drain ──▶ the queue of every connection, whatever its transport
//
// The packages below it turn frames into their own bytes and back.
package transport
