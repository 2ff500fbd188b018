package api

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/alertlog"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// defaultHistory is how far back the history of alerts goes: a shift.
	defaultHistory = 12 * time.Hour
	// maxHistory is how many alerts are answered with, the latest.
	maxHistory = 1000
)

// alertsHistory answers with what became of the alerts of a warehouse that were open since a time,
// in the rooms that the caller may join.
func (a *API) alertsHistory(c echo.Context) error {
	now := time.Now()
	since := now.Add(-defaultHistory)
	if text := c.QueryParam("since"); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil || ms < 0 {
			return wire.Errorf(wire.CodeInvalidData, "since is %.40q: write a time in ms since 1970", text)
		}
		since = time.UnixMilli(ms)
	}
	room, asking, err := a.reader(c)
	if err != nil {
		return err
	}
	records, complete, err := a.AlertLog.Since(c.Request().Context(), room.Warehouse, since, now)
	if err != nil {
		return &wire.Error{Code: wire.CodeUnavailable, Message: "the history of alerts can't be read now: try again", RetryAfter: 1000}
	}
	records = slices.DeleteFunc(records, func(r alertlog.Record) bool {
		of, err := wire.ParseRoom(r.Room)
		return err != nil || asking != nil && asking.MayJoin(of) != nil
	})
	if len(records) > maxHistory {
		records, complete = records[:maxHistory], false
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, struct {
		Warehouse string            `json:"warehouse"`
		Since     int64             `json:"since"`
		Complete  bool              `json:"complete"`
		Alerts    []alertlog.Record `json:"alerts"`
	}{room.Warehouse, since.UnixMilli(), complete, records})
}
