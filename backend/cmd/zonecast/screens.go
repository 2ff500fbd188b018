package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/api"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/problem"
	"github.com/zonecast/zonecast/backend/internal/requestid"
	"github.com/zonecast/zonecast/backend/internal/walls"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/web/dashboard"
	"github.com/zonecast/zonecast/web/screen"
)

// htmlErrors answers requests for the pages of screens with pages also where they were refused
// before those had a say. Other requests have next.
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

// screens is what is known of wall screens, and how they are told something.
func (s *server) screens() api.Screens {
	return api.Screens{Registry: s.walls, Client: walls.Client{Cluster: s.cluster}, Node: s.config.NodeName,
		Revoke: s.revokeScreen}
}

// listScreens is what the dashboard lists of the wall screens.
func (s *server) listScreens(ctx context.Context) (out dashboard.ScreenPage, _ error) {
	page, fanOut, err := s.screens().List(ctx, walls.Query{Within: within(ctx, operator.Viewer)})
	if err != nil {
		return out, err
	}
	out = dashboard.ScreenPage{FanOut: fanOutOf(fanOut), Forgotten: page.Forgotten}
	for _, w := range page.Walls {
		out.Screens = append(out.Screens, dashboard.Screen{ID: w.ID, Name: w.Name, Room: dashboard.Room{Warehouse: w.Warehouse, Zone: w.Zone},
			Layout: w.Layout, Build: w.Build, Loaded: time.UnixMilli(w.Loaded), Seen: time.UnixMilli(w.Seen), Dark: w.Dark,
			Address: w.Address, Node: w.Node, Paired: w.TokenID != ""})
	}
	return out, nil
}

// addScreenForm adds what the page of the wall screens sends. It leads back to the page.
func (s *server) addScreenForm(routes *access.Table) {
	post := []string{http.MethodPost}
	routes.Action(audit.Screen, post, dashboard.ScreensPath)
	routes.Add(access.WarehouseOperator, post, dashboard.ScreensPath, func(c echo.Context) error {
		order := dashboard.ParseOrder(c.Request().Form)
		if order.ID == "" {
			return wire.Errorf(wire.CodeInvalidData, "no screen is chosen: go back and choose one")
		}
		ctx, cancel := context.WithTimeout(c.Request().Context(), formTimeout)
		defer cancel()
		if _, err := s.screens().Command(ctx, access.Entry(c), order.ID, order.Do, order.Show); err != nil {
			return err
		}
		return c.Redirect(http.StatusSeeOther, order.DoneAddress())
	})
}
