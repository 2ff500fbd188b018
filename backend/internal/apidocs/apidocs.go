// Package apidocs serves the description of the protocol that tools read.
//
//	asyncapi.yaml ── embedded ──▶ GET /docs/asyncapi.yaml
//
// Its tests hold the file to package wire, the golden frames and the statuses of package problem.
package apidocs

import (
	_ "embed"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
)

// AsyncAPI is the description of all frames, error codes and close codes, in AsyncAPI 3.
//
//go:embed asyncapi.yaml
var AsyncAPI []byte

// AddRoutes adds the route of the file. Anyone may read it: it says nothing that is not in the documentation.
func AddRoutes(t *access.Table) {
	t.Add(access.Public, access.Reading, "/docs/asyncapi.yaml", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/yaml", AsyncAPI) // RFC 9512
	})
}
