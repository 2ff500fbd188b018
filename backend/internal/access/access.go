// Package access is the only way to add a route to the server: each route declares who may call it.
//
//	cmd, api, transport ── Table.Add(rule, …) ──▶ Echo
//	request ── Hosts ── Headers ── rule ──▶ handler
//	                                └── logins, and what operators change ──▶ audit
//
// What operators may call, and requests that web pages of other sites send, are checked here.
// Tokens and keys of clients and publishers are checked by the handlers, since a transport refuses
// in its own words; the test of cmd/zonecast walks all routes and sees that they do.
package access

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/body"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/web/base"
)

// A Rule says who may call a route.
type Rule string

// The rules.
const (
	Public    Rule = "public"    // anyone
	Form      Rule = "form"      // anyone, but no page of another site
	Client    Rule = "client"    // a client with a token, if AUTH_TOKEN_SECRET is set
	Publisher Rule = "publisher" // a service with a key or a token, if either is set
	Viewer    Rule = "viewer"    // an operator who may look
	Operator  Rule = "operator"  // an operator who may disconnect clients
	Admin     Rule = "admin"     // an operator who may do everything

	// The same roles, but of one warehouse or more: the handler keeps to those warehouses, which
	// operator.From tells. The rules above let in nobody who is limited to some.
	WarehouseViewer   Rule = "viewer of a warehouse"
	WarehouseOperator Rule = "operator of a warehouse"
	WarehouseAdmin    Rule = "admin of a warehouse"
)

// SignInPath is where browsers are sent that ask for a page of operators.
const SignInPath = "/ui/login"

// Why browsers are sent there, as its query parameter "reason".
const (
	ReasonEnded   = "ended"    // the session has
	ReasonNotDone = "not-done" // the same, and something should have been changed
)

// Reading are the methods of what is only read. HEAD is GET without the body (RFC 9110 section
// 9.3.2); net/http leaves it out.
var Reading = []string{http.MethodGet, http.MethodHead}

// permits are what the rules of operators ask of one.
var permits = map[Rule]func(operator.Identity) error{
	Viewer:            func(who operator.Identity) error { return who.Require(operator.Viewer) },
	Operator:          func(who operator.Identity) error { return who.Require(operator.Operator) },
	Admin:             func(who operator.Identity) error { return who.Require(operator.Admin) },
	WarehouseViewer:   func(who operator.Identity) error { return who.RequireAnywhere(operator.Viewer) },
	WarehouseOperator: func(who operator.Identity) error { return who.RequireAnywhere(operator.Operator) },
	WarehouseAdmin:    func(who operator.Identity) error { return who.RequireAnywhere(operator.Admin) },
}

// A Table adds routes to a server and knows the rule of each.
type Table struct {
	echo      *echo.Echo
	operators *operator.Operators
	rules     map[route]Rule
	sameSite  *http.CrossOriginProtection
	audit     *audit.Log // nil for none
	actions   map[route]string
	internal  map[string]bool // paths
}

type route struct{ method, path string }

// New returns a table without routes.
func New(e *echo.Echo, operators *operator.Operators) *Table {
	return &Table{echo: e, operators: operators, rules: map[route]Rule{}, actions: map[route]string{}, internal: map[string]bool{},
		sameSite: http.NewCrossOriginProtection()}
}

// Audit has what operators change recorded.
func (t *Table) Audit(log *audit.Log) { t.audit = log }

// Add adds a route for each of the methods.
func (t *Table) Add(rule Rule, methods []string, path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) {
	switch rule {
	case Viewer, Operator, Admin, WarehouseViewer, WarehouseOperator, WarehouseAdmin:
		m = append([]echo.MiddlewareFunc{t.operatorsOnly(permits[rule]), t.fromHere, boundForm}, m...)
	case Form:
		m = append([]echo.MiddlewareFunc{t.fromHere, boundForm}, m...)
	case Publisher:
		m = append([]echo.MiddlewareFunc{t.fromHere}, m...)
	case Public, Client:
	default:
		panic(fmt.Sprintf("%v %s has no access rule", methods, path))
	}
	for _, method := range methods {
		t.rules[route{method, path}] = rule
	}
	before, known := t.internal[path]
	t.internal[path] = permits[rule] != nil && (before || !known)
	t.echo.Match(methods, path, h, m...)
}

// Routes are all routes of the server, also those that were added otherwise than by Add.
func (t *Table) Routes() []*echo.Route { return t.echo.Routes() }

// Rule returns the rule of a route, or false if it was added otherwise than by Add.
func (t *Table) Rule(method, path string) (Rule, bool) {
	r, ok := t.rules[route{method, path}]
	return r, ok
}

// operatorsOnly asks for the login of an operator, or a session, and tells the handlers whose it
// is.
func (t *Table) operatorsOnly(permit func(operator.Identity) error) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			who, err := t.operators.Identify(c.Request(), c.RealIP())
			if err != nil {
				return t.refuseLogin(c, err)
			}
			t.operators.Renew(c.Response(), c.Request(), who)
			c.SetRequest(c.Request().WithContext(operator.With(c.Request().Context(), who)))
			if err = permit(who); err != nil {
				t.forbidden(c, who.Name, err)
				return err
			}
			if slices.Contains(Reading, c.Request().Method) {
				return next(c)
			}
			return t.audited(who.Name, next, t.audit.Record)(c)
		}
	}
}

// refuseLogin sends browsers to the page where operators sign in, and asks others for a login.
func (t *Table) refuseLogin(c echo.Context, err error) error {
	r := c.Request()
	if wire.AsError(err).Code != wire.CodeUnauthenticated || !asksForPage(r) {
		return RefuseLogin(c, err)
	}
	query := url.Values{"next": {r.URL.RequestURI()}}
	if !slices.Contains(Reading, r.Method) {
		query = url.Values{"reason": {ReasonNotDone}}
	} else if t.operators.HadSession(r) {
		query.Set("reason", ReasonEnded)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	c.Response().Header().Add("Vary", "Accept, Authorization, Cookie, Sec-Fetch-Mode")
	return c.Redirect(http.StatusSeeOther, SignInPath+"?"+query.Encode())
}

// asksForPage reports whether a browser sends the request to show what it gets, and has not been
// given a login of HTTP Basic. Only some say so by themselves, and only over TLS or to this machine
// (W3C Fetch Metadata).
func asksForPage(r *http.Request) bool {
	if r.Header.Get("Authorization") != "" {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// RefuseLogin returns the error of a login, and asks for one where there was none: by HTTP Basic
// (RFC 7617), but not a script of a page, where the browser would ask the person instead.
func RefuseLogin(c echo.Context, err error) error {
	if wire.AsError(err).Code != wire.CodeUnauthenticated {
		return err
	}
	challenge := `Basic realm="Zonecast", charset="UTF-8"`
	if r := c.Request(); r.Header.Get("Authorization") == "" && (r.Header.Get("Sec-Fetch-Mode") != "" || r.Header.Get("Cookie") != "") {
		challenge = `Cookie realm="Zonecast", form-action="` + base.Path(r.Context(), SignInPath) + `"`
	}
	c.Response().Header().Set("WWW-Authenticate", challenge)
	return err
}

// fromHere refuses what a web page of another site would change: browsers send along by themselves
// the login that they were given for HTTP Basic.
func (t *Table) fromHere(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := t.sameSite.Check(c.Request()); err != nil {
			return wire.Errorf(wire.CodeForbidden, "web pages of other sites may change nothing here: send this from a program, or a page of this server")
		}
		return next(c)
	}
}

// maxForm is the most bytes that an operator sends at once.
const maxForm = 64 << 10

// boundForm reads the form of a request, which handlers then find read.
func boundForm(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := body.ParseForm(c.Response(), c.Request(), maxForm); err != nil {
			return err
		}
		return next(c)
	}
}

// Headers sets what every answer has: no browser guesses its type, and no page of another origin
// embeds it.
func Headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		return next(c)
	}
}
