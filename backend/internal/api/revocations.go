package api

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/body"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/wire"
)

func (a *API) revocations(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	list := slices.DeleteFunc(a.Guard.Revocations().List(), func(r auth.Revocation) bool {
		return strings.HasPrefix(r.TokenID, auth.SessionPrefix)
	})
	return c.JSON(http.StatusOK, map[string][]auth.Revocation{"revocations": list})
}

func (a *API) revoke(c echo.Context) error {
	entry := access.Entry(c)
	if err := checkContent(c.Request().Header); err != nil {
		return err
	}
	p, err := body.Read(c.Response(), c.Request(), 4096)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(p)) == 0 {
		return wire.Errorf(wire.CodeInvalidData, `the body is empty: send {"user":"…"}, {"tokenId":"…"} or {"issuedBefore":…}`)
	}
	var wanted struct {
		User         string `json:"user"`
		TokenID      string `json:"tokenId"`
		IssuedBefore int64  `json:"issuedBefore"`
		Until        int64  `json:"until"`
		Reason       string `json:"reason"`
	}
	if err := wire.DecodeObject("body", p, &wanted); err != nil {
		return err
	}
	entry.Target = targetOf(auth.Revocation{User: wanted.User, TokenID: wanted.TokenID, IssuedBefore: wanted.IssuedBefore})
	if wanted.Reason != "" {
		entry.Reason = wanted.Reason
	}
	ctx, cancel, err := requestTimeout(c)
	if err != nil {
		return err
	}
	defer cancel()
	revocation, closed, fanOut, err := a.Revocations.Revoke(ctx, auth.Revocation{User: wanted.User, TokenID: wanted.TokenID,
		IssuedBefore: wanted.IssuedBefore, Until: wanted.Until, Reason: entry.Reason})
	if err != nil {
		return err
	}
	entry.Detail = revocation.ID + ", " + connadmin.Reached(closed, fanOut)
	return c.JSON(http.StatusOK, struct {
		auth.Revocation
		Disconnected int `json:"disconnected"`
		connadmin.FanOut
	}{revocation, closed, fanOut})
}

// targetOf names what a revocation ends.
func targetOf(r auth.Revocation) string {
	var parts []string
	if r.User != "" {
		parts = append(parts, "user "+r.User)
	}
	if r.TokenID != "" {
		parts = append(parts, "token "+r.TokenID)
	}
	if r.IssuedBefore != 0 {
		parts = append(parts, "issued before "+time.UnixMilli(r.IssuedBefore).UTC().Format(time.RFC3339))
	}
	return strings.Join(parts, ", ")
}

func (a *API) lift(c echo.Context) error {
	entry := access.Entry(c)
	for _, r := range a.Guard.Revocations().List() {
		if r.ID == c.Param("id") {
			entry.Target = r.ID + ", " + targetOf(r)
		}
	}
	ctx, cancel, err := requestTimeout(c)
	if err != nil {
		return err
	}
	defer cancel()
	found, fanOut, err := a.Revocations.Lift(ctx, c.Param("id"))
	switch {
	case err != nil:
		return err
	case !found:
		return echo.NewHTTPError(http.StatusNotFound, errors.New("no revocation has this id: it may be over already"))
	}
	return c.JSON(http.StatusOK, fanOut)
}
