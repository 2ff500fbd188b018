package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/wire"
)

func (a *API) deleteRetained(c echo.Context) error {
	entry := access.Entry(c)
	who, err := a.service(c)
	if err != nil {
		return err
	}
	entry.Who = who.Caller()
	if err := a.spendRate(c, who, 1); err != nil {
		return err
	}
	room, err := roomOf(c)
	if err != nil {
		return err
	}
	event := pathName(c, "event")
	entry.Target = room.String() + " " + event
	there, err := a.Publisher.DeleteRetained(c.Request().Context(), who, room, event)
	switch {
	case err != nil:
		return err
	case !there:
		return echo.NewHTTPError(http.StatusNotFound, "no event "+event+" is retained in "+room.String())
	}
	return c.NoContent(http.StatusNoContent)
}

func (a *API) deleteRoom(c echo.Context) error {
	entry := access.Entry(c)
	room, err := roomOf(c)
	if err == nil {
		err = operator.From(c.Request().Context()).RequireIn(operator.Admin, room.Warehouse)
	}
	if err != nil {
		return err
	}
	entry.Target = room.String()
	there, err := a.Publisher.DeleteRoom(c.Request().Context(), room)
	switch {
	case err != nil:
		return err
	case !there:
		return echo.NewHTTPError(http.StatusNotFound, "nothing was published to "+room.String())
	}
	return c.NoContent(http.StatusNoContent)
}

// roomOf returns the room that the path names.
func roomOf(c echo.Context) (wire.Room, error) {
	zone := pathName(c, "zone")
	if zone == "" && hasZone(c) {
		return wire.Room{}, errNoZone()
	}
	return wire.NewRoom(pathName(c, "warehouse"), zone)
}
