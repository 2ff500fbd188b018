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
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/wire"
)

// A Rule says who may call a route.
type Rule string

// The rules.
const (
	Public    Rule = "public"    // anyone
	Client    Rule = "client"    // a client with a token, if AUTH_TOKEN_SECRET is set
	Publisher Rule = "publisher" // a service with a key or a token, if either is set
	Viewer    Rule = "viewer"    // an operator who may look
	Operator  Rule = "operator"  // an operator who may disconnect clients
	Admin     Rule = "admin"     // an operator who may do everything
)

// Reading are the methods of what is only read. HEAD is GET without the body (RFC 9110 section
// 9.3.2); net/http leaves it out.
var Reading = []string{http.MethodGet, http.MethodHead}

var roles = map[Rule]operator.Role{Viewer: operator.Viewer, Operator: operator.Operator, Admin: operator.Admin}

// A Table adds routes to a server and knows the rule of each.
type Table struct {
	echo      *echo.Echo
	operators *operator.Operators
	rules     map[route]Rule
	sameSite  *http.CrossOriginProtection
	audit     *audit.Log // nil for none
	named     bool       // operators have names
	actions   map[route]string
	internal  map[string]bool // paths
}

type route struct{ method, path string }

// New returns a table without routes.
func New(e *echo.Echo, operators *operator.Operators) *Table {
	return &Table{echo: e, operators: operators, rules: map[route]Rule{}, actions: map[route]string{}, internal: map[string]bool{},
		sameSite: http.NewCrossOriginProtection()}
}

// Audit has logins, and what operators change, recorded. Named says that operators have to log in.
func (t *Table) Audit(log *audit.Log, named bool) { t.audit, t.named = log, named }

// Add adds a route for each of the methods.
func (t *Table) Add(rule Rule, methods []string, path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) {
	switch rule {
	case Viewer, Operator, Admin:
		m = append([]echo.MiddlewareFunc{t.operatorsOnly(roles[rule]), t.fromHere}, m...)
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
	t.internal[path] = roles[rule] != 0 && (before || !known)
	t.echo.Match(methods, path, h, m...)
}

// Routes are all routes of the server, also those that were added otherwise than by Add.
func (t *Table) Routes() []*echo.Route { return t.echo.Routes() }

// Rule returns the rule of a route, or false if it was added otherwise than by Add.
func (t *Table) Rule(method, path string) (Rule, bool) {
	r, ok := t.rules[route{method, path}]
	return r, ok
}

// operatorsOnly asks for the login of an operator of at least this role (RFC 7617).
func (t *Table) operatorsOnly(role operator.Role) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := t.operators.Check(c.Request(), c.RealIP(), role); err != nil {
				t.loginRefused(c, err)
				return RefuseLogin(c, err)
			}
			who := t.operator(c.Request(), true)
			if t.named {
				t.audit.LoggedIn(who, c.RealIP())
			}
			if slices.Contains(Reading, c.Request().Method) {
				return next(c)
			}
			return t.audited(who, next, t.audit.Record)(c)
		}
	}
}

// RefuseLogin returns the error of a login, and asks for one where there was none.
func RefuseLogin(c echo.Context, err error) error {
	if wire.AsError(err).Code == wire.CodeUnauthenticated {
		c.Response().Header().Set("WWW-Authenticate", `Basic realm="Zonecast", charset="UTF-8"`)
	}
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
