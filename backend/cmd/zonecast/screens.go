package main

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/problem"
	"github.com/zonecast/zonecast/backend/internal/requestid"
	"github.com/zonecast/zonecast/web/screen"
)

// htmlErrors answers requests for the pages of screens with pages also where they were refused before
// those had a say. Other requests have next.
func (s *server) htmlErrors(screens *screen.Screens, next echo.HTTPErrorHandler) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		r := c.Request()
		if c.Response().Committed || !strings.HasPrefix(r.URL.Path, screen.Prefix) || r.Method != http.MethodGet && r.Method != http.MethodHead {
			next(err, c)
			return
		}
		p := problem.Of(err)
		if p.Status == http.StatusInternalServerError {
			s.log.Error("request failed", "path", c.Path(), "error", err, requestid.Attr(c))
		}
		p.SetHeader(c.Response().Header())
		screens.ServeError(c.Response(), r, p.Status, p.Detail)
	}
}
