package dashboard

import (
	"net/http"

	"github.com/zonecast/zonecast/web/internal/headers"
)

// A SignIn is what the page shows on which operators sign in.
type SignIn struct {
	Name string // what was entered
	Next string // the path to go to then
	// Passwords offers the form, Provider a link to the OpenID provider of this name; empty for
	// none.
	Passwords bool
	Provider  string
	// Error says why the last try failed, Notice why the page is shown.
	Error, Notice string
}

// ServeSignIn writes the page with this status. Its form is sent to /ui/login.
func (d *Dashboard) ServeSignIn(w http.ResponseWriter, r *http.Request, status int, p SignIn) {
	headers.Page(w.Header())
	w.WriteHeader(status)
	if err := signIn(p).Render(r.Context(), w); err != nil {
		d.opts.Log.Debug("sign-in page was not delivered", "error", err)
	}
}
