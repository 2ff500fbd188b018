package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/cluster"
)

// The states of a component. Only componentFailing keeps the instance from being ready: it is what
// another instance could do better.
const (
	componentOK      = "ok"
	componentWarning = "warning"
	componentFailing = "failing"
)

// A component is one part that readiness depends on, or is told beside it.
type component struct {
	Component string     `json:"component"`
	Status    string     `json:"status"`
	Detail    string     `json:"detail,omitempty"`
	Since     *time.Time `json:"since,omitempty"` // when that was first seen
}

// components explains a status part by part.
func components(s cluster.Status, incomplete string) []component {
	broker := component{Component: "broker", Status: componentOK}
	if s.Broker != nil {
		broker.Status, broker.Detail, broker.Since = componentFailing, s.Broker.Error(), &s.BrokerDownSince
		if len(s.Warnings()) > 0 { // all instances lack it
			broker.Status = componentWarning
		}
	}
	serving := component{Component: "serving", Status: componentOK}
	if s.State == cluster.Draining {
		serving.Status, serving.Detail = componentFailing, s.Why
	}
	others := component{Component: "cluster", Status: componentOK}
	if incomplete != "" {
		others.Status, others.Detail = componentWarning, incomplete
	}
	return []component{serving, broker, others}
}

func (a *API) ready(c echo.Context) error {
	status := a.Readiness.Status()
	answer := map[string]any{"status": "ready", "components": components(status, a.Cluster.Incomplete())}
	if warnings := status.Warnings(); len(warnings) > 0 {
		answer["warnings"] = warnings
	}
	if reasons := status.Reasons(); len(reasons) > 0 {
		answer["status"], answer["reasons"] = "not ready", reasons
		return c.JSON(http.StatusServiceUnavailable, answer)
	}
	return c.JSON(http.StatusOK, answer)
}
