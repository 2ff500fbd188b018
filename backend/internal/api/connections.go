package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// defaultPage is how many connections a page has unless the caller says otherwise.
	defaultPage = 100
	// defaultTimeout is how long the other instances have to answer, unless the caller says
	// otherwise.
	defaultTimeout, maxTimeout = 2 * time.Second, 10 * time.Second
)

// connections answers with the connections of all instances in the order of their ids, page by
// page.
func (a *API) connections(c echo.Context) error {
	wanted, err := parseSelection(c)
	if err != nil {
		return err
	}
	ctx, cancel, err := requestTimeout(c)
	if err != nil {
		return err
	}
	defer cancel()
	if err := limitTo(c, operator.Viewer, &wanted); err != nil {
		return err
	}
	page, fanOut, err := a.Connections.List(ctx, wanted)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, struct {
		connadmin.Page
		connadmin.FanOut
	}{page, fanOut})
}

// disconnectOne closes one connection, wherever it is.
func (a *API) disconnectOne(c echo.Context) error {
	return a.disconnect(c, connadmin.Selection{ID: c.Param("id")})
}

// disconnectMany closes those that the query selects.
func (a *API) disconnectMany(c echo.Context) error {
	wanted, err := parseSelection(c)
	if err != nil {
		return err
	}
	if wanted.SelectsAll() {
		return wire.Errorf(wire.CodeInvalidData, "this would end every connection: say which, with warehouse, zone, userId, node, slow, transport, address, userAgent, minQueued or search")
	}
	return a.disconnect(c, wanted)
}

func (a *API) disconnect(c echo.Context, wanted connadmin.Selection) error {
	entry := access.Entry(c)
	ban := false
	if text := c.QueryParam("ban"); text != "" {
		var err error
		if ban, err = strconv.ParseBool(text); err != nil {
			return wire.Errorf(wire.CodeInvalidData, "ban is %.20q: say true, so that the clients don't come back, or leave it out", text)
		}
	}
	if ban {
		entry.Action = audit.Ban
	}
	ctx, cancel, err := requestTimeout(c)
	if err != nil {
		return err
	}
	defer cancel()
	if err := limitTo(c, operator.Operator, &wanted); err != nil {
		return err
	}
	n, fanOut, err := a.Connections.Disconnect(ctx, wanted, ban)
	if err != nil {
		return err
	}
	entry.Detail = connadmin.Reached(n, fanOut)
	if wanted.ID != "" && n == 0 && fanOut.Complete {
		return echo.NewHTTPError(http.StatusNotFound, errors.New("no connection has this id: it may have ended already"))
	}
	return c.JSON(http.StatusOK, struct {
		Disconnected int `json:"disconnected"`
		connadmin.FanOut
	}{n, fanOut})
}

// limitTo limits a selection to the warehouses in which the operator has the role.
func limitTo(c echo.Context, need operator.Role, wanted *connadmin.Selection) error {
	who := operator.From(c.Request().Context())
	if err := who.RequireAnywhere(need); err != nil {
		return err
	}
	wanted.Within, _ = who.Warehouses(need)
	if name := c.QueryParam("warehouse"); name != "" {
		return who.RequireIn(need, name)
	}
	return nil
}

// requestTimeout returns a context that ends when the caller does not want to wait any longer for
// other instances.
func requestTimeout(c echo.Context) (context.Context, context.CancelFunc, error) {
	wait := defaultTimeout
	if text := c.QueryParam("timeout"); text != "" {
		ms, err := strconv.Atoi(text)
		if wait = time.Duration(ms) * time.Millisecond; err != nil || wait < time.Millisecond || wait > maxTimeout {
			return nil, nil, wire.Errorf(wire.CodeInvalidData, "timeout is %.20q: give milliseconds from 1 to %d", text, maxTimeout.Milliseconds())
		}
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), wait)
	return ctx, cancel, nil
}

// parseSelection reads the query. The error is a *wire.Error.
func parseSelection(c echo.Context) (s connadmin.Selection, err error) {
	s = connadmin.Selection{User: c.QueryParam("userId"), Node: c.QueryParam("node"), After: c.QueryParam("after"), Limit: defaultPage}
	if w, z := c.QueryParam("warehouse"), c.QueryParam("zone"); w != "" || z != "" {
		room, err := wire.NewRoom(w, z)
		if err != nil {
			return s, err
		}
		s.Room = room.String()
	}
	if text := c.QueryParam("slow"); text != "" {
		if s.Slow, err = strconv.ParseBool(text); err != nil {
			return s, wire.Errorf(wire.CodeInvalidData, "slow is %.20q: say true, or leave it out", text)
		}
	}
	s.Filter = connadmin.Filter{Text: c.QueryParam("search"), Transport: c.QueryParam("transport"), Address: c.QueryParam("address"),
		Agent: c.QueryParam("userAgent"), Sort: connadmin.Sort(c.QueryParam("sort"))}
	if !slices.Contains(connadmin.Sorts(), s.Sort) {
		return s, wire.Errorf(wire.CodeInvalidData, "sort is %.20q: say oldest, newest, queued, rtt or sent, or leave it out", s.Sort)
	}
	if text := c.QueryParam("minQueued"); text != "" {
		if s.MinQueued, err = strconv.Atoi(text); err != nil || s.MinQueued < 0 {
			return s, wire.Errorf(wire.CodeInvalidData, "minQueued is %.20q: give bytes, 0 or more", text)
		}
	}
	if text := c.QueryParam("afterValue"); text != "" {
		if s.AfterValue, err = strconv.ParseInt(text, 10, 64); err != nil {
			return s, wire.Errorf(wire.CodeInvalidData, "afterValue is %.20q: give the nextValue of the page before", text)
		}
	}
	if text := c.QueryParam("limit"); text != "" {
		if s.Limit, err = strconv.Atoi(text); err != nil || s.Limit < 1 || s.Limit > connadmin.MaxPage {
			return s, wire.Errorf(wire.CodeInvalidData, "limit is %.20q: give a number from 1 to %d", text, connadmin.MaxPage)
		}
	}
	return s, nil
}
