package dashboard

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/zonecast/zonecast/web/internal/example"
)

// PairingPath is where the form posts the fields of a [Pairing] with which an operator pairs a
// screen. It is for whoever mounts the dashboard to serve, and leads to [Pairing.DoneAddress], or
// is answered with [Dashboard.ServePairing].
const PairingPath = ScreensPath + "/pair"

// PairingAddress is where an operator pairs the screen that shows this code, or any without one, as
// who sends the request reaches the server.
func PairingAddress(r *http.Request, code string) string {
	if code == "" {
		return example.Origin(r) + ScreensPath
	}
	return example.Origin(r) + withQuery(ScreensPath, url.Values{"code": {code}})
}

// A PairingRequest is a screen that shows a code.
type PairingRequest struct {
	Code, Address, Agent string
	Name, Place          string // as it says: warehouse/zone
	Since                time.Time
}

// A Pairing is what an operator lets a screen see.
type Pairing struct{ Code, Name, Warehouse, Zones string }

// ParsePairing reads what the form posts.
func ParsePairing(form url.Values) Pairing {
	return Pairing{parameter(form, "code"), parameter(form, "name"), parameter(form, "warehouse"), parameter(form, "zones")}
}

// ZoneNames are the zones, as they are typed: between commas or spaces. None are the whole
// warehouse.
func (p Pairing) ZoneNames() []string {
	return strings.FieldsFunc(p.Zones, func(r rune) bool { return r == ',' || r == ' ' })
}

// DoneAddress is where the form leads: the list, which says that it was done.
func (p Pairing) DoneAddress() string { return withQuery(ScreensPath, url.Values{"done": {"pair"}}) }

// A pairingView is the part of the page that pairs a screen.
type pairingView struct {
	Pairing          // as typed
	asks    string   // what is known of the screen that shows the code; empty for none
	problem string   // why not
	within  []string // the warehouses that there are to choose from; nil for all
}

// pairingView is nil for who may pair no screen, and where none has to be.
func (d *Dashboard) pairingView(r *http.Request, typed Pairing) *pairingView {
	viewer := d.opts.Viewer(r)
	if d.opts.Pairing == nil || !viewer.CanDisconnect {
		return nil
	}
	v := &pairingView{Pairing: typed}
	if viewer.Limited {
		v.within = viewer.Warehouses
	}
	found, err := d.opts.Pairing(r.Context(), typed.Code)
	switch {
	case err != nil:
		v.problem = err.Error()
	case found.Code != "":
		v.Code = found.Code
		v.asks = "asked for from " + found.Address + " " + span(time.Since(found.Since)) + " ago, by " + found.Agent
		if typed == (Pairing{Code: typed.Code}) { // not typed yet
			place, _, _ := strings.Cut(found.Place, "?")
			v.Warehouse, v.Zones, _ = strings.Cut(place, "/")
			v.Name = found.Name
		}
	}
	if v.Warehouse == "" && len(v.within) == 1 {
		v.Warehouse = v.within[0]
	}
	return v
}

// ServePairing writes the page of the wall screens after a screen could not be paired: with what
// was typed, and why.
func (d *Dashboard) ServePairing(w http.ResponseWriter, r *http.Request, status int, typed Pairing, problem string) {
	v := d.screensView(r.Context(), r)
	if v.pairing = d.pairingView(r, typed); v.pairing != nil {
		v.pairing.problem = problem
	}
	d.write(w, r, status, screensPage(v))
}
