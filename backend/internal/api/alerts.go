package api

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/alert"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/body"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// pinHeader has the PIN of who acknowledges an alert at a wall screen.
const pinHeader = "Zonecast-Pin"

func (a *API) addAlertRoutes(routes *access.Table) {
	post := []string{http.MethodPost}
	for _, room := range []string{"/api/v1/warehouses/:warehouse", "/api/v1/warehouses/:warehouse/zones/:zone"} {
		routes.Add(access.Client, access.Reading, room+"/alerts", a.alerts)
		routes.Add(access.Publisher, post, room+"/alerts/acknowledge", a.acknowledge, routes.Audited)
		routes.Add(access.Publisher, post, room+"/alerts/clear", a.clear, routes.Audited)
		routes.Action(audit.Acknowledge, post, room+"/alerts/acknowledge")
		routes.Action(audit.ClearAlert, post, room+"/alerts/clear")
	}
}

// alerts answers with the alerts that are open in a room, for who may join it.
func (a *API) alerts(c echo.Context) error {
	room, err := roomOf(c)
	if err != nil {
		return err
	}
	if _, err = a.caller(c, room, operator.Viewer, (*auth.Identity).MayJoin); err != nil {
		return err
	}
	open, err := a.Publisher.OpenAlerts(c.Request().Context(), room)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, struct {
		Room   string       `json:"room"`
		Alerts []alert.Open `json:"alerts"`
	}{room.String(), open})
}

func (a *API) acknowledge(c echo.Context) error {
	return a.change(c, (*auth.Identity).MayAcknowledge, func(room wire.Room, id, by string) (*alert.Open, error) {
		return a.Publisher.Acknowledge(c.Request().Context(), via, room, id, by)
	})
}

func (a *API) clear(c echo.Context) error {
	may := func(who *auth.Identity, room wire.Room) error {
		if err := who.MayPublish(room); err != nil {
			return err
		}
		return who.MayPublishEvent(wire.EventAlert)
	}
	return a.change(c, may, func(room wire.Room, id, by string) (*alert.Open, error) {
		return a.Publisher.Clear(c.Request().Context(), via, room, id, by)
	})
}

// maxAlertRequest is the most bytes of a request to change an alert.
const maxAlertRequest = 8 << 10

// change does something to the alert that the body names, if the caller may.
func (a *API) change(c echo.Context, may func(*auth.Identity, wire.Room) error,
	do func(room wire.Room, id, by string) (*alert.Open, error)) error {
	entry := access.Entry(c)
	room, err := roomOf(c)
	if err != nil {
		return err
	}
	by, err := a.caller(c, room, operator.Operator, may)
	if err != nil {
		return err
	}
	entry.Who = by
	if err := checkContent(c.Request().Header); err != nil {
		return err
	}
	p, err := body.Read(c.Response(), c.Request(), maxAlertRequest)
	if err != nil {
		return err
	}
	var request struct {
		ID string `json:"id"`
		By string `json:"by"` // counts where nothing else says who it is
	}
	if err := decodeBody(p, &request); err != nil {
		return err
	}
	if by == "" {
		by = strings.TrimSpace(string([]rune(request.By)[:min(len([]rune(request.By)), maxName)]))
	}
	entry.Target = room.String() + " " + request.ID
	changed, err := do(room, request.ID, by)
	switch {
	case err != nil:
		return err
	case changed == nil:
		return echo.NewHTTPError(http.StatusNotFound, "no alert of this id is open in "+room.String())
	}
	return c.JSON(http.StatusOK, changed)
}

// maxName is the most characters of a name that somebody gives.
const maxName = 64

// caller returns the name of who sends the request, empty where nobody has to have one: by a PIN,
// which is for acknowledging alone, at a wall screen that may join the room; a key or a token, if
// may permits it; or the login of an operator of this role in the warehouse, where operators
// belong.
func (a *API) caller(c echo.Context, room wire.Room, role operator.Role, may func(*auth.Identity, wire.Room) error) (string, error) {
	name, _, err := a.identify(c, room, role, may)
	return name, err
}

// identify is caller, and returns whose token or key it is; nil for a person.
func (a *API) identify(c echo.Context, room wire.Room, role operator.Role, may func(*auth.Identity, wire.Room) error) (string, *auth.Identity, error) {
	if err := a.spendAddress(c); err != nil {
		return "", nil, err
	}
	r, pin := c.Request(), ""
	if strings.HasSuffix(c.Path(), "/acknowledge") {
		pin = r.Header.Get(pinHeader)
	}
	visit := auth.Visit{Address: transport.Address(c), Rooms: []wire.Room{room}}
	who, err := a.Guard.Service(r, visit)
	if err == nil {
		err = may(who, room)
	}
	if err != nil {
		if pin != "" {
			may = (*auth.Identity).MayJoin // the PIN permits the rest
		}
		client, clientErr := a.Guard.Client(r, visit)
		if clientErr == nil && may(client, room) == nil {
			who, err = client, nil
		}
	}
	if err == nil && pin != "" {
		name, err := a.PINs.Owner(visit.Address, room.Warehouse, pin, time.Now())
		return name, who, err
	}
	if err == nil {
		return cmp.Or(who.User, who.Key), who, a.spendRate(c, who, 1)
	}
	if a.Operators.Open() || access.IsPublic(c) || r.Header.Get("Cookie") == "" && !isBasic(r) {
		c.Response().Header().Set("WWW-Authenticate", "Bearer")
		return "", nil, err
	}
	person, loginErr := a.Operators.Identify(r, c.RealIP())
	if loginErr == nil {
		loginErr = person.RequireIn(role, room.Warehouse)
	}
	return person.Name, nil, loginErr
}

func isBasic(r *http.Request) bool {
	_, _, ok := r.BasicAuth()
	return ok
}
