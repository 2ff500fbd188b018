package api

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

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
	ctx, cancel, err := requestTimeout(c)
	if err != nil {
		return err
	}
	defer cancel()
	revocation, closed, fanOut, err := a.Revocations.Revoke(ctx, auth.Revocation{User: wanted.User, TokenID: wanted.TokenID,
		IssuedBefore: wanted.IssuedBefore, Until: wanted.Until, Reason: wanted.Reason})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, struct {
		auth.Revocation
		Disconnected int `json:"disconnected"`
		connadmin.FanOut
	}{revocation, closed, fanOut})
}

func (a *API) lift(c echo.Context) error {
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
