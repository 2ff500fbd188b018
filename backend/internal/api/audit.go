package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/web/base"
)

// ndjson is one JSON text a line.
const ndjson = "application/x-ndjson"

// auditLog answers with the entries of all instances, the last ones first, page by page: as one
// object, or as lines for those who accept them. The next page is in the header Link as well.
func (a *API) auditLog(c echo.Context) error {
	query, err := parseAuditQuery(c)
	if err != nil {
		return err
	}
	ctx, cancel, err := requestTimeout(c)
	if err != nil {
		return err
	}
	defer cancel()
	page, err := a.Audit.Read(ctx, query)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept")
	if page.Next != "" {
		next := url.URL{Path: base.Path(c.Request().Context(), c.Request().URL.Path)}
		values := c.Request().URL.Query()
		values.Set("before", page.Next)
		next.RawQuery = values.Encode()
		h.Set("Link", "<"+next.String()+`>; rel="next"`) // RFC 8288
	}
	if !strings.Contains(c.Request().Header.Get("Accept"), ndjson) {
		return c.JSON(http.StatusOK, page)
	}
	h.Set("Content-Type", ndjson)
	c.Response().WriteHeader(http.StatusOK)
	lines := json.NewEncoder(c.Response())
	for _, e := range page.Entries {
		if err := lines.Encode(e); err != nil {
			return nil // the caller is gone
		}
	}
	return nil
}

func parseAuditQuery(c echo.Context) (q audit.Query, err error) {
	q = audit.Query{Who: c.QueryParam("who"), Action: c.QueryParam("action"), Before: c.QueryParam("before"), Limit: defaultPage}
	if text := c.QueryParam("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > audit.MaxPage {
			return q, wire.Errorf(wire.CodeInvalidData, "limit is %.20q: give a number from 1 to %d", text, audit.MaxPage)
		}
	}
	if text := c.QueryParam("since"); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if q.Since = time.UnixMilli(ms); err != nil {
			q.Since, err = time.Parse(time.RFC3339, text)
		}
		if err != nil {
			return q, wire.Errorf(wire.CodeInvalidData, "since is %.40q: give ms since 1970, or a time like 2027-01-31T08:00:00Z", text)
		}
	}
	return q, nil
}
