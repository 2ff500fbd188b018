package dashboard

import (
	"net/http"
	"net/url"
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
	return view{
		figures:     f,
		filter:      strings.ToValidUTF8(filter, ""),
		origin:      example.Origin(r),
		keyRequired: d.opts.KeyRequired,
	}
}

// eventsAddress is the event stream of this view.
func (v view) eventsAddress() string {
	if v.filter == "" {
		return Prefix + "events"
	}
	return Prefix + "events?filter=" + url.QueryEscape(v.filter)
}

// welcomeExample is a command that publishes to the zone whose screen the welcome names.
func (v view) welcomeExample() string {
	const data = `{"event":"ZONE_UPDATE","data":{"workers":12,"unitsDone":5250,"pickRate":1402,"ordersOpen":86}}`
	return example.Broadcast(v.origin, "warehouse-1", "zone-a", data, v.keyRequired)
}
