package dashboard

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/zonecast/zonecast/web/internal/example"
	"github.com/zonecast/zonecast/web/internal/headers"
)

func (d *Dashboard) servePage(w http.ResponseWriter, r *http.Request) {
	headers.Page(w.Header())
	if err := page(d.viewOf(d.latest.Load(), r)).Render(r.Context(), w); err != nil {
		d.opts.Log.Debug("dashboard page was not delivered", "error", err)
	}
}

// viewOf is the figures as the sender of this request sees them.
func (d *Dashboard) viewOf(f *figures, r *http.Request) view {
	filter := strings.TrimSpace(r.URL.Query().Get("filter"))
	if len(filter) > maxFilterLen {
		filter = filter[:maxFilterLen]
	}
	viewer := d.opts.Viewer(r)
	number, _ := strconv.Atoi(r.URL.Query().Get("page")) // one that is none is the first
	return view{
		figures:       f.shownTo(viewer),
		viewer:        viewer,
		pages:         d.opts.pages(),
		roomPages:     d.opts.Room != nil,
		instancePages: d.opts.Instances != nil,
		filter:        strings.ToValidUTF8(filter, ""),
		busiest:       r.URL.Query().Get("sort") == "connections",
		page:          number,
		origin:        example.Origin(r),
		keyRequired:   d.opts.KeyRequired,
	}
}

// shownTo returns the figures without the rooms that are not for the viewer. Totals are the
// cluster's.
func (f *figures) shownTo(viewer Viewer) *figures {
	if !viewer.Limited {
		return f
	}
	hidden := func(warehouse string) bool { return !viewer.mayView(warehouse) }
	hiddenZone := func(z Zone) bool { return hidden(z.Warehouse) }
	part := *f
	part.Warehouses = slices.DeleteFunc(slices.Clone(f.Warehouses), func(w Warehouse) bool { return hidden(w.Name) })
	part.Zones = slices.DeleteFunc(slices.Clone(f.Zones), hiddenZone)
	part.Recent = slices.DeleteFunc(slices.Clone(f.Recent), hiddenZone)
	return &part
}

// limitText says which warehouses' rooms are shown.
func (v view) limitText() string {
	if !v.viewer.Limited {
		return ""
	}
	return "Rooms of " + strings.Join(v.viewer.Warehouses, ", ") + " only; totals are of all."
}

// eventsAddress is the event stream of this view.
func (v view) eventsAddress() string {
	return v.address(Prefix+"events", v.busiest, v.page)
}

// welcomeExample is a command that publishes to the zone whose screen the welcome names.
func (v view) welcomeExample() string {
	const data = `{"event":"ZONE_UPDATE","data":{"workers":12,"unitsDone":5250,"pickRate":1402,"ordersOpen":86}}`
	return example.Broadcast(v.origin, "warehouse-1", "zone-a", data, v.keyRequired)
}
