// Package apidocs serves the descriptions of the protocol and of the HTTP API, for tools and for
// people.
//
//	asyncapi.yaml ─┬─ embedded ────────────▶ GET /docs/asyncapi.yaml
//	openapi.yaml ──┴─ go test -update ─▶ index.html, embedded ─▶ GET /docs/
//
// Its tests hold the files to package wire, the golden frames and the statuses of package problem;
// those of cmd/zonecast hold openapi.yaml to the routes and to what they answer.
package apidocs

import (
	"embed"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
)

// AsyncAPI is the description of all frames, error codes and close codes, in AsyncAPI 3.
//
//go:embed asyncapi.yaml
var AsyncAPI []byte

// OpenAPI is the description of the HTTP API, in OpenAPI 3.1.
//
//go:embed openapi.yaml
var OpenAPI []byte

//go:embed index.html docs.css
var page embed.FS

// pagePolicy is the Content-Security-Policy of the page: it has a style sheet and nothing else.
const pagePolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// AddRoutes adds the routes. Anyone may read them: they say nothing that is not in the
// documentation.
func AddRoutes(t *access.Table) {
	serve := func(path, contentType string, text []byte) {
		t.Add(access.Public, access.Reading, path, func(c echo.Context) error { return c.Blob(http.StatusOK, contentType, text) })
	}
	const yaml = "application/yaml" // RFC 9512
	serve("/docs/asyncapi.yaml", yaml, AsyncAPI)
	serve("/docs/openapi.yaml", yaml, OpenAPI)
	style, _ := page.ReadFile("docs.css") // embedded, as is the page
	serve("/docs/docs.css", "text/css; charset=utf-8", style)
	html, _ := page.ReadFile("index.html")
	t.Add(access.Public, access.Reading, "/docs/", func(c echo.Context) error {
		c.Response().Header().Set("Content-Security-Policy", pagePolicy)
		return c.HTMLBlob(http.StatusOK, html)
	})
	// Its links are relative, so that they hold below a path of a proxy, too.
	t.Add(access.Public, access.Reading, "/docs", func(c echo.Context) error { return c.Redirect(http.StatusFound, "/docs/") })
}
