// Package base says below which path of a proxy the server is shown.
//
//	proxy ── /push/ui/ ──▶ cmd: With(ctx, "/push"), and /ui/ ──▶ pages: Path(ctx, "/ui/") = "/push/ui/"
//
// Routes know nothing of it: only what a browser or a person is told does.
package base

import "context"

type key struct{}

// With returns a context of requests that came in below prefix, like "/push"; "" is the root.
func With(ctx context.Context, prefix string) context.Context {
	return context.WithValue(ctx, key{}, prefix)
}

// Of returns the prefix of a request: "" at the root.
func Of(ctx context.Context) string {
	prefix, _ := ctx.Value(key{}).(string)
	return prefix
}

// Path returns where a browser finds a path of this server, like "/ui/".
func Path(ctx context.Context, path string) string { return Of(ctx) + path }
