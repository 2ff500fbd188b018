package main

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/rebalance"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/web/dashboard"
)

// newBalancer returns what shares this instance's connections out again.
func (s *server) newBalancer() *rebalance.Balancer {
	return rebalance.New(rebalance.Options{Node: s.config.NodeName, View: s.cluster.View, Sessions: s.hub.Sessions,
		Own:  func() int { return s.gate.Connections(transport.WebSocket) + s.gate.Connections(transport.SSE) },
		Rate: s.config.RebalanceRate, Interval: s.config.RebalanceInterval, Log: s.log, OnMove: s.metrics.Rebalanced.Inc})
}

// addDismissForm adds what the button of an instance that is gone sends.
func (s *server) addDismissForm(routes *access.Table) {
	routes.Action(audit.Dismiss, []string{http.MethodPost}, dashboard.DismissPath)
	routes.Add(access.Operator, []string{http.MethodPost}, dashboard.DismissPath, func(c echo.Context) error {
		ctx, cancel := context.WithTimeout(c.Request().Context(), 2*time.Second)
		defer cancel()
		id := c.FormValue("id")
		for _, g := range s.cluster.View().Gone {
			if g.ID == id {
				access.Entry(c).Target = g.Name
			}
		}
		dismissed, err := s.cluster.Dismiss(ctx, id)
		switch {
		case err != nil:
			return err
		case !dismissed:
			return echo.NewHTTPError(http.StatusNotFound, "no instance of this id is gone: it is back, or was dismissed before")
		}
		return c.Redirect(http.StatusSeeOther, dashboard.Prefix)
	})
}

// addRebalanceForm adds what the dashboard's button sends. It leads back to the page.
func (s *server) addRebalanceForm(routes *access.Table) {
	routes.Action(audit.Rebalance, []string{http.MethodPost}, dashboard.RebalancePath)
	routes.Add(access.Admin, []string{http.MethodPost}, dashboard.RebalancePath, func(c echo.Context) error {
		ctx, cancel := context.WithTimeout(c.Request().Context(), 2*time.Second)
		defer cancel()
		if _, err := (rebalance.Client{Cluster: s.cluster}).Start(ctx); err != nil {
			return err
		}
		return c.Redirect(http.StatusSeeOther, dashboard.Prefix)
	})
}
