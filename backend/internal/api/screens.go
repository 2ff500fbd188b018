package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/body"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/walls"
	"github.com/zonecast/zonecast/backend/wire"
)

// Screens is what is known of wall screens, and how they are told something.
type Screens struct {
	Registry *walls.Registry
	walls.Client
	Node string
	// Revoke ends the token of a paired screen on all instances, and says for the audit log what
	// that did.
	Revoke func(ctx context.Context, tokenID, reason string) (detail string, err error)
}

func (a *API) addScreenRoutes(routes *access.Table) {
	post := []string{http.MethodPost}
	routes.Add(access.Client, post, "/api/v1/warehouses/:warehouse/screens", a.checkIn)
	routes.Add(access.Client, post, "/api/v1/warehouses/:warehouse/zones/:zone/screens", a.checkIn)
	routes.Add(access.WarehouseViewer, access.Reading, "/api/v1/screens", a.screens)
	routes.Add(access.WarehouseOperator, post, "/api/v1/screens/:id", a.tellScreen)
	routes.Action(audit.Screen, post, "/api/v1/screens/:id")
}

// maxScreenRequest is the most bytes of what a screen, or an operator, says of one.
const maxScreenRequest = 4 << 10

// checkIn takes from a screen who it is and what it shows. Who may see that may say so.
func (a *API) checkIn(c echo.Context) error {
	room, err := roomOf(c)
	if err != nil {
		return err
	}
	_, who, err := a.identify(c, room, operator.Viewer, (*auth.Identity).MayJoin)
	if err != nil {
		return err
	}
	var said struct {
		ID         string `json:"id"`
		Name       string `json:"name"`
		Wall       string `json:"wall"`
		Build      string `json:"build"`
		LoadedAt   int64  `json:"loadedAt"`
		Connection string `json:"connectionId"`
	}
	if err := readScreen(c, &said); err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	w := walls.Wall{ID: said.ID, Name: said.Name, Warehouse: room.Warehouse, Zone: room.Zone, Layout: said.Wall, Build: said.Build,
		Loaded: min(max(said.LoadedAt, 0), now), Seen: now, Address: transport.Address(c), Node: a.Screens.Node, Connection: said.Connection}
	if who != nil && who.Screen {
		w.TokenID = who.TokenID
	}
	if err := w.Check(); err != nil {
		return err
	}
	a.Screens.Registry.CheckIn(w)
	return c.NoContent(http.StatusNoContent)
}

func readScreen(c echo.Context, into any) error {
	if err := checkContent(c.Request().Header); err != nil {
		return err
	}
	p, err := body.Read(c.Response(), c.Request(), maxScreenRequest)
	if err != nil {
		return err
	}
	return decodeBody(p, into)
}

// screens answers with the screens that checked in at any instance.
func (a *API) screens(c echo.Context) error {
	who := operator.From(c.Request().Context())
	if err := who.RequireAnywhere(operator.Viewer); err != nil {
		return err
	}
	var wanted walls.Query
	if names, all := who.Warehouses(operator.Viewer); !all {
		wanted.Within = names
	}
	ctx, cancel, err := requestTimeout(c)
	if err != nil {
		return err
	}
	defer cancel()
	page, fanOut, err := a.Screens.List(ctx, wanted)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, struct {
		walls.Page
		connadmin.FanOut
	}{page, fanOut})
}

// tellScreen tells a screen what an operator wants of it.
func (a *API) tellScreen(c echo.Context) error {
	var wanted struct {
		Do   string `json:"do"`
		Show string `json:"show"`
	}
	if err := readScreen(c, &wanted); err != nil {
		return err
	}
	ctx, cancel, err := requestTimeout(c)
	if err != nil {
		return err
	}
	defer cancel()
	w, err := a.Screens.Command(ctx, access.Entry(c), c.Param("id"), wanted.Do, wanted.Show)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, w)
}

// Command does for an operator what he wants of the screen of an ID, and returns the screen. The
// error says what to change, or that it can't be reached.
func (s Screens) Command(ctx context.Context, entry *audit.Entry, id, do, show string) (*walls.Wall, error) {
	entry.Target, entry.Detail = "screen "+id, do
	command, err := walls.ParseCommand(do, show)
	if err != nil {
		return nil, err
	}
	who := operator.From(ctx)
	query := walls.Query{ID: id}
	if names, all := who.Warehouses(operator.Operator); !all {
		query.Within = names
	}
	w, err := s.Find(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case w == nil:
		return nil, echo.NewHTTPError(http.StatusNotFound, "no screen of yours has this id: look at the list of screens")
	}
	room := wire.Room{Warehouse: w.Warehouse, Zone: w.Zone}
	entry.Target = fmt.Sprintf("screen %s %q at %s", id, w.Name, room)
	if command.Do == walls.Unpair {
		return w, s.unpair(ctx, entry, w)
	}
	if command.Do == walls.Show {
		if err := who.RequireIn(operator.Operator, command.Warehouse); err != nil {
			return nil, err
		}
		entry.Detail += " " + show
	}
	reached, err := s.Tell(ctx, *w, command)
	switch {
	case err != nil:
		return nil, err
	case !reached:
		return nil, echo.NewHTTPError(http.StatusConflict, fmt.Sprintf("the screen has no connection: it was heard of last at %s UTC",
			time.UnixMilli(w.Seen).UTC().Format("2006-01-02 15:04:05")))
	}
	return w, nil
}

// unpair ends the token that a screen was given.
func (s Screens) unpair(ctx context.Context, entry *audit.Entry, w *walls.Wall) error {
	if w.TokenID == "" {
		return echo.NewHTTPError(http.StatusConflict, "the screen was not paired: its token is one of its address, which admins can revoke")
	}
	done, err := s.Revoke(ctx, w.TokenID, entry.Reason)
	if err == nil {
		entry.Detail += " token " + w.TokenID + ", " + done
	}
	return err
}
