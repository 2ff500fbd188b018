package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/pairing"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/walls"
	"github.com/zonecast/zonecast/backend/wire"
)

// Pairing is how wall screens get tokens of their own.
type Pairing struct {
	Desk *pairing.Desk
	pairing.Client
	// Possible returns nil if screens can be paired, or why not.
	Possible func() error
	// Address is where operators confirm a code, as who sends the request reaches this server.
	Address func(r *http.Request, code string) string
}

func (a *API) addPairingRoutes(routes *access.Table) {
	post := []string{http.MethodPost}
	routes.Add(access.Form, post, "/api/v1/pairings", a.comeForToken)
	routes.Add(access.Client, post, "/api/v1/pairings/renew", a.renewToken)
	routes.Add(access.WarehouseOperator, post, "/api/v1/pairings/:code", a.confirmPairing)
	routes.Action(audit.Pair, post, "/api/v1/pairings/:code")
}

// possible is Possible, as an answer.
func (p Pairing) possible() error {
	if err := p.Possible(); err != nil {
		return echo.NewHTTPError(http.StatusConflict, err.Error())
	}
	return nil
}

// A pairingAnswer is what a screen is told: what to show, or its token. Durations are in
// milliseconds.
type pairingAnswer struct {
	Code      string      `json:"code,omitempty"`
	Ticket    string      `json:"ticket,omitempty"`
	Address   string      `json:"address,omitempty"` // where operators enter the code
	QR        *pairing.QR `json:"qr,omitempty"`      // of that, with the code; with a new one alone
	ExpiresIn int64       `json:"expiresIn,omitempty"`
	Interval  int64       `json:"interval,omitempty"` // after which to come again

	*pairedAnswer
}

type pairedAnswer struct {
	Token      string   `json:"token"`
	RenewAfter int64    `json:"renewAfter"`
	Name       string   `json:"name,omitempty"`
	Warehouse  string   `json:"warehouse,omitempty"`
	Zones      []string `json:"zones,omitempty"`
}

// comeForToken gives a screen a code to show, or the token that an operator let it have.
func (a *API) comeForToken(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	if err := a.spendAddress(c); err != nil {
		return err
	}
	if err := a.Pairing.possible(); err != nil {
		return err
	}
	var said struct {
		Ticket string `json:"ticket"`
		Name   string `json:"name"`
		Place  string `json:"place"` // warehouse, or warehouse/zone
	}
	if err := readScreen(c, &said); err != nil {
		return err
	}
	if said.Place != "" {
		if _, err := walls.ParseCommand(walls.Show, said.Place); err != nil {
			return wire.Errorf(wire.CodeInvalidData, "place is %.200q: give warehouse or warehouse/zone", said.Place)
		}
	}
	agent := c.Request().UserAgent()
	from := pairing.Request{Address: transport.Address(c), Agent: agent[:min(len(agent), 256)], Name: said.Name, Place: said.Place}
	if err := from.Check(); err != nil {
		return err
	}
	got, err := a.Pairing.Desk.Come(said.Ticket, from, time.Now())
	if err != nil {
		return err
	}
	if got.Token != "" {
		paired := a.paired(got.Token)
		paired.Name, paired.Warehouse, paired.Zones = got.Grant.Name, got.Grant.Warehouse, got.Grant.Zones
		return c.JSON(http.StatusOK, pairingAnswer{pairedAnswer: paired})
	}
	answer := pairingAnswer{Code: got.Code, Ticket: got.Ticket, ExpiresIn: got.ExpiresIn.Milliseconds(), Interval: pairing.Interval.Milliseconds()}
	if !access.IsPublic(c) { // where there are no pages of operators
		answer.Address = a.Pairing.Address(c.Request(), "")
		if got.New {
			code, err := pairing.NewQR(a.Pairing.Address(c.Request(), got.Code))
			if err != nil {
				return err
			}
			answer.QR = &code
		}
	}
	return c.JSON(http.StatusOK, answer)
}

func (a *API) paired(token string) *pairedAnswer {
	_, renewal := a.Guard.ScreenTokens()
	return &pairedAnswer{Token: token, RenewAfter: renewal.Milliseconds()}
}

// renewToken gives a paired screen a token that is valid for longer.
func (a *API) renewToken(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	if err := a.spendAddress(c); err != nil {
		return err
	}
	token, err := a.renew(auth.Bearer(c.Request()), transport.Address(c))
	if err != nil {
		a.Pairing.Desk.OnResult(pairing.Refused)
		return err
	}
	a.Pairing.Desk.OnResult(pairing.Renewed)
	return c.JSON(http.StatusOK, a.paired(token))
}

func (a *API) renew(token, address string) (string, error) {
	who, err := a.Guard.Token(token, address)
	if err != nil {
		return "", err
	}
	if err := a.Guard.MayIssue(); err != nil {
		return "", echo.NewHTTPError(http.StatusConflict, err.Error())
	}
	return a.Guard.RenewForScreen(who, token)
}

// confirmPairing lets the screen that shows a code have a token.
func (a *API) confirmPairing(c echo.Context) error {
	var wanted struct {
		Name      string   `json:"name"`
		Warehouse string   `json:"warehouse"`
		Zones     []string `json:"zones"`
	}
	if err := readScreen(c, &wanted); err != nil {
		return err
	}
	grant, err := a.Pairing.ConfirmFor(c, c.Param("code"), auth.ScreenGrant{Name: wanted.Name, Warehouse: wanted.Warehouse, Zones: wanted.Zones})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, grant)
}

// ConfirmFor lets the screen that shows a code have a token, for the operator who sends the
// request, and returns what it may see. The error says what to change.
func (p Pairing) ConfirmFor(c echo.Context, typed string, grant auth.ScreenGrant) (auth.ScreenGrant, error) {
	entry := access.Entry(c)
	code := pairing.ParseCode(typed)
	entry.Target = "screen " + grant.Name + " of " + grant.Warehouse
	if err := pairing.Check(grant); err != nil {
		return grant, err
	}
	if err := operator.From(c.Request().Context()).RequireIn(operator.Operator, grant.Warehouse); err != nil {
		return grant, err
	}
	if err := p.possible(); err != nil {
		return grant, err
	}
	ctx, cancel, err := requestTimeout(c)
	if err != nil {
		return grant, err
	}
	defer cancel()
	request, grant, err := p.Confirm(ctx, code, grant)
	if err != nil {
		return grant, err
	}
	p.Desk.OnResult(pairing.Confirmed)
	entry.Detail = "token " + grant.TokenID + ", asked for from " + request.Address
	return grant, nil
}
