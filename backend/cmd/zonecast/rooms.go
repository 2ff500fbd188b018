package main

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/web/dashboard"
)

// latestMessages is how many messages the page of a room lists.
const latestMessages = 20

// room is what the dashboard shows of a warehouse or a zone. What the broker can't say now stands
// in Problem; who is there is told all the same.
func (s *server) room(ctx context.Context, name dashboard.Room) (out dashboard.RoomState, _ error) {
	room, err := wire.NewRoom(name.Warehouse, name.Zone)
	if err != nil {
		return out, err
	}
	if err = operator.From(ctx).RequireIn(operator.Viewer, room.Warehouse); err != nil {
		return out, err
	}
	standings, fanOut, err := connadmin.Client{Cluster: s.cluster}.Standings(ctx, room)
	if err != nil {
		return out, err
	}
	out.FanOut = fanOutOf(fanOut)
	for _, st := range standings {
		out.Instances = append(out.Instances, dashboard.RoomInstance{Name: st.Node, Members: st.Members, Offset: st.Offset})
	}
	if out.Zones, err = s.broker.Zones(ctx, room.Warehouse); err == nil {
		err = s.roomContent(ctx, room, &out)
	}
	if err == nil && room.Zone == "" {
		out.Quotas, err = s.quotas(ctx, room.Warehouse)
	}
	if err != nil {
		out.Problem = err.Error()
	}
	return out, nil
}

// roomContent adds what the room keeps.
func (s *server) roomContent(ctx context.Context, room wire.Room, out *dashboard.RoomState) error {
	content, err := s.hub.ContentOf(ctx, room, latestMessages)
	if err != nil {
		return err
	}
	if content.Offset.N > 0 {
		out.Offset = content.Offset.String()
	}
	for _, m := range slices.Backward(content.Latest) {
		out.Messages = append(out.Messages, roomMessage(&m.Message))
	}
	for _, m := range content.Retained {
		out.Retained = append(out.Retained, roomMessage(m))
	}
	return nil
}

func roomMessage(m *wire.Message) dashboard.RoomMessage {
	return dashboard.RoomMessage{Offset: m.Offset.String(), Event: m.Event, Time: time.UnixMilli(m.Time), Data: string(m.Data)}
}

// addRoomForms adds what the pages of warehouses and zones send.
func (s *server) addRoomForms(routes *access.Table) {
	post := []string{http.MethodPost}
	routes.Action(audit.SendTest, post, dashboard.TestPath)
	routes.Action(audit.DeleteRetained, post, dashboard.RetainedPath)
	routes.Add(access.WarehouseAdmin, post, dashboard.TestPath, s.testForm)
	routes.Add(access.WarehouseAdmin, post, dashboard.RetainedPath, s.retainedForm)
}

// roomOfForm returns the room that a form names, if who sends it is an admin of its warehouse.
func roomOfForm(c echo.Context) (room wire.Room, name dashboard.Room, err error) {
	name = dashboard.Room{Warehouse: c.FormValue("warehouse"), Zone: c.FormValue("zone")}
	if room, err = wire.NewRoom(name.Warehouse, name.Zone); err == nil {
		access.Entry(c).Target = room.String()
		err = operator.From(c.Request().Context()).RequireIn(operator.Admin, room.Warehouse)
	}
	if reason := c.FormValue("reason"); reason != "" {
		access.Entry(c).Reason = reason
	}
	return room, name, err
}

func (s *server) testForm(c echo.Context) error {
	room, name, err := roomOfForm(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), formTimeout)
	defer cancel()
	text, by := []rune(c.FormValue("text")), operator.From(ctx).Name
	position, err := s.publisher.SendTest(ctx, "http", room, string(text[:min(len(text), dashboard.MaxTestText)]), by, c.FormValue("key"))
	switch {
	case err != nil && wire.AsError(err).Code == wire.CodeIdempotencyConflict:
		access.Entry(c).Detail = "it was sent before"
		return c.Redirect(http.StatusSeeOther, name.Address())
	case err != nil:
		return err
	}
	access.Entry(c).Detail = position.Offset
	return c.Redirect(http.StatusSeeOther, name.SentAddress(position.Offset))
}

func (s *server) retainedForm(c echo.Context) error {
	room, name, err := roomOfForm(c)
	if err != nil {
		return err
	}
	event := c.FormValue("event")
	access.Entry(c).Target += " " + event
	ctx, cancel := context.WithTimeout(c.Request().Context(), formTimeout)
	defer cancel()
	there, err := s.publisher.WithdrawRetained(ctx, room, event)
	if err == nil && !there {
		access.Entry(c).Detail = "nothing was retained"
	}
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, name.Address())
}
