// Package signin lets operators sign in and out with a browser.
//
//	browser ── GET /ui/login ──▶ the page with the form
//	        ── POST /ui/login ──▶ operator.Login ──┐
//	        ── GET /ui/login/oidc ──▶ provider ──┐ ├──▶ operator.Begin ── 303 ──▶ where it wanted to go
//	        ◀────────────────────────────────────┘ │
//	        ── GET /ui/login/oidc/callback ────────┘
//	        ── POST /ui/logout ──▶ operator.End ── 303 ──▶ the page with the form
//
// Everything works without JavaScript.
package signin

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/problem"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	providerPath = "/ui/login/oidc"
	signOutPath  = "/ui/logout"
	// home is where operators go who wanted to go nowhere else.
	home = "/ui/"
)

// A Page is what the page shows.
type Page struct {
	Name string // what was entered
	Next string // where to go then
	// Passwords and Provider say how one can sign in.
	Passwords, Provider bool
	Error, Notice       string
}

// Options of the pages. Both are needed.
type Options struct {
	Operators *operator.Operators
	// Render writes the page, with this status.
	Render func(w http.ResponseWriter, r *http.Request, status int, p Page)
}

type handler struct{ Options }

// AddRoutes adds the routes.
func AddRoutes(t *access.Table, o Options) {
	h := handler{o}
	t.Add(access.Public, access.Reading, access.SignInPath, h.page)
	t.Add(access.Form, []string{http.MethodPost}, access.SignInPath, h.signIn)
	t.Add(access.Form, []string{http.MethodPost}, signOutPath, h.signOut)
	t.Add(access.Public, []string{http.MethodGet}, providerPath, h.toProvider)
	t.Add(access.Public, []string{http.MethodGet}, operator.CallbackPath, h.fromProvider)
}

// notices are what the page says to those who come to it for a reason.
var notices = map[string]string{
	access.ReasonEnded:   "Your session has ended: sign in again.",
	access.ReasonNotDone: "Your session has ended, and what you sent was not carried out: sign in, then do it again.",
	reasonOut:            "You have signed out.",
	reasonNotEverywhere: "You have signed out in this browser. Other instances could not be told: if someone has a copy of the " +
		"session's cookie, it works there until the session would have expired.",
}

const reasonOut, reasonNotEverywhere = "out", "partly"

func (h handler) page(c echo.Context) error {
	next := Next(c.QueryParam("next"))
	if _, err := h.Operators.Identify(c.Request(), c.RealIP()); err == nil {
		return c.Redirect(http.StatusSeeOther, next)
	} else if wire.AsError(err).Code == wire.CodeForbidden {
		return h.render(c, http.StatusOK, Page{Error: sentence(err)})
	}
	return h.render(c, http.StatusOK, Page{Next: next, Notice: notices[c.QueryParam("reason")]})
}

func (h handler) render(c echo.Context, status int, p Page) error {
	p.Passwords, p.Provider = h.Operators.TakesPasswords(), h.Operators.HasProvider()
	h.Render(c.Response(), c.Request(), status, p)
	return nil
}

// refuse shows the page with what went wrong.
func (h handler) refuse(c echo.Context, err error, p Page) error {
	refusal := problem.Of(err)
	refusal.SetHeader(c.Response().Header())
	p.Error = sentence(err)
	return h.render(c, refusal.Status, p)
}

func sentence(err error) string {
	text := problem.Of(err).Detail
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

func (h handler) signIn(c echo.Context) error {
	r := c.Request()
	p := Page{Name: r.PostForm.Get("name"), Next: Next(r.PostForm.Get("next"))}
	if h.Operators.Open() {
		return c.Redirect(http.StatusSeeOther, p.Next)
	}
	who, err := h.Operators.Login(r, c.RealIP(), p.Name, r.PostForm.Get("password"))
	if err == nil {
		err = h.Operators.Begin(c.Response(), r, c.RealIP(), who)
	}
	if err != nil {
		return h.refuse(c, err, p)
	}
	return c.Redirect(http.StatusSeeOther, p.Next)
}

func (h handler) toProvider(c echo.Context) error {
	next := Next(c.QueryParam("next"))
	if !h.Operators.HasProvider() {
		return echo.ErrNotFound
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	address, err := h.Operators.StartSignIn(c.Response(), c.Request(), c.RealIP(), next)
	if err != nil {
		return h.refuse(c, err, Page{Next: next})
	}
	return c.Redirect(http.StatusSeeOther, address)
}

func (h handler) fromProvider(c echo.Context) error {
	if !h.Operators.HasProvider() {
		return echo.ErrNotFound
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	who, next, err := h.Operators.FinishSignIn(c.Response(), c.Request(), c.RealIP())
	if err == nil {
		err = h.Operators.Begin(c.Response(), c.Request(), c.RealIP(), who)
	}
	if err != nil {
		return h.refuse(c, err, Page{Next: Next(next)})
	}
	return c.Redirect(http.StatusSeeOther, Next(next))
}

func (h handler) signOut(c echo.Context) error {
	reason := reasonOut
	if err := h.Operators.End(c.Response(), c.Request(), c.RealIP()); err != nil {
		reason = reasonNotEverywhere
	}
	return c.Redirect(http.StatusSeeOther, access.SignInPath+"?reason="+reason)
}

// Next returns the path to go to after signing in: the one that is asked for if it is of this
// server, else the dashboard's. Browsers take "\" for "/", and leave out control characters.
func Next(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") ||
		strings.Contains(path, `\`) || len(path) > 2000 || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return home
	}
	if u.Path == access.SignInPath || strings.HasPrefix(u.Path, access.SignInPath+"/") || u.Path == signOutPath {
		return home
	}
	return path
}
