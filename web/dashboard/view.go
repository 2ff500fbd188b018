package dashboard

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// How many rows a list shows; what does not fit is counted below it.
const (
	maxZoneRows      = 50
	maxWarehouseRows = 30
	maxInstanceRows  = 32
	maxRecentRows    = 12
)

// maxFilterLen bounds what is taken from the address: the longest zone in the longest warehouse,
// and a space.
const maxFilterLen = 129

// A view is the figures as one viewer sees them.
type view struct {
	*figures
	viewer Viewer
	filter string
	// origin is the address that the viewer reached the server at, "http://host:port".
	origin      string
	keyRequired bool
}

// waiting reports whether there were no figures yet at all.
func (v view) waiting() bool { return v.taken.IsZero() }

// empty reports whether a running system waits for its first client.
func (v view) empty() bool { return !v.waiting() && v.Connections == 0 && len(v.Missing) == 0 }

// withoutSubscribers reports whether events are published that nobody is connected to see.
func (v view) withoutSubscribers() bool {
	return v.empty() && len(v.Recent) > 0 && (v.published.PerSecond >= 0.05 || !v.published.Known)
}

// recentRows are the zones that were published to lately.
func (v view) recentRows() []roomRow {
	var rows []roomRow
	for _, z := range v.Recent[:min(len(v.Recent), maxRecentRows)] {
		rows = append(rows, roomRow{Warehouse: z.Warehouse, Zone: z.Name})
	}
	return rows
}

// sections lists the parts of the page that change by themselves; each is the very component inside
// the page.
func (v view) sections() []section {
	return []section{
		{"asof", asOf(v)},
		{"notices", notices(v)},
		{"totals", totals(v)},
		{"welcome", welcome(v)},
		{"instances", instances(v)},
		{"warehouses", warehouses(v)},
		{"zones", zones(v)},
	}
}

// expected is how many instances should have answered.
func (v view) expected() int { return len(v.Instances) + len(v.Missing) }

// brokerDown counts the instances that can't reach the broker.
func (v view) brokerDown() (n int) {
	for _, inst := range v.Instances {
		if !inst.Broker.Up {
			n++
		}
	}
	return n
}

// brokerDownHeadline says who can't reach the broker.
func (v view) brokerDownHeadline() string {
	if len(v.Instances) == 1 {
		return fmt.Sprintf("The broker (%s) can't be reached", v.Broker)
	}
	return fmt.Sprintf("The broker (%s) can't be reached by %d of %s", v.Broker, v.brokerDown(), plural(len(v.Instances), "instance"))
}

// brokerReason is what the first instance that can't reach the broker says about it.
func (v view) brokerReason() string {
	for _, inst := range v.Instances {
		if !inst.Broker.Up {
			return inst.Broker.Detail
		}
	}
	return ""
}

// missingText says what the figures lack.
func (v view) missingText() string {
	hold := "hold"
	if len(v.Missing) == 1 {
		hold = "holds"
	}
	text := fmt.Sprintf("The figures lack what %s %s.", strings.Join(v.Missing, ", "), hold)
	if v.brokerDown() == len(v.Instances) {
		text += " They may be well: instances hear of one another through the broker."
	}
	return text
}

// brokerDownText says since when an instance can't reach the broker, if it knows.
func (v view) brokerDownText(inst Instance) string {
	if inst.Broker.DownSince.IsZero() {
		return "down"
	}
	return "down for " + span(v.taken.Sub(inst.Broker.DownSince))
}

func (v view) connectionsText() string {
	if v.waiting() {
		return "–"
	}
	return grouped(int64(v.Connections))
}

// fanOut is how many clients a message reaches on average.
func (v view) fanOut() string {
	if !v.published.Known || v.published.PerSecond < 0.05 {
		return ""
	}
	return fmt.Sprintf("%.1f clients per message", v.delivered.PerSecond/v.published.PerSecond)
}

// unitOf is the unit of a rate, left out where there is no rate.
func unitOf(r rate) string {
	if !r.Known {
		return ""
	}
	return "/s"
}

// instanceRows are the instances that the table shows, and missingRows the silent ones, which come
// after them.
func (v view) instanceRows() []Instance { return v.Instances[:min(len(v.Instances), maxInstanceRows)] }

func (v view) missingRows() []string {
	return v.Missing[:min(len(v.Missing), maxInstanceRows-len(v.instanceRows()))]
}

func (v view) hiddenInstances() int {
	return v.expected() - len(v.instanceRows()) - len(v.missingRows())
}

// instanceCount is "3", or "2 of 3 answered".
func (v view) instanceCount() string {
	if len(v.Missing) == 0 {
		return strconv.Itoa(len(v.Instances))
	}
	return fmt.Sprintf("%d of %d answered", len(v.Instances), v.expected())
}

// A roomRow is one line of a list of rooms.
type roomRow struct {
	Warehouse, Zone string
	Connections     int
	Share           int // of the largest room, in percent, at least 1
}

func (r roomRow) shareText() string { return strconv.Itoa(r.Share) }

// screen is the address of the wall display of a zone.
func (r roomRow) screen() string {
	return "/screen/" + url.PathEscape(r.Warehouse) + "/" + url.PathEscape(r.Zone)
}

// filterAddress is this page with the zones of one warehouse.
func (r roomRow) filterAddress() string {
	return Prefix + "?filter=" + url.QueryEscape(r.Warehouse)
}

// A list is what a table of rooms shows.
type list struct {
	Rows  []roomRow
	Found int // that the filter lets through
	Total int
}

// more is how many rows did not fit.
func (l list) more() int { return l.Found - len(l.Rows) }

func (v view) warehouses() list {
	rows := make([]roomRow, 0, min(len(v.Warehouses), maxWarehouseRows))
	for _, w := range v.Warehouses[:min(len(v.Warehouses), maxWarehouseRows)] {
		rows = append(rows, roomRow{Warehouse: w.Name, Connections: w.Connections})
	}
	return list{Rows: withShares(rows), Found: len(v.Warehouses), Total: len(v.Warehouses)}
}

func (v view) zones() list {
	l := list{Total: len(v.Zones)}
	words := strings.Fields(strings.ToLower(v.filter))
	for _, z := range v.Zones {
		if !matches(z, words) {
			continue
		}
		l.Found++
		if len(l.Rows) < maxZoneRows {
			l.Rows = append(l.Rows, roomRow{Warehouse: z.Warehouse, Zone: z.Name, Connections: z.Connections})
		}
	}
	l.Rows = withShares(l.Rows)
	return l
}

// matches reports whether each word stands somewhere in the name of the warehouse or of the zone.
func matches(z Zone, words []string) bool {
	name := strings.ToLower(z.Warehouse + "/" + z.Name)
	for _, w := range words {
		if !strings.Contains(name, w) {
			return false
		}
	}
	return true
}

func withShares(rows []roomRow) []roomRow {
	most := 1
	for _, r := range rows {
		most = max(most, r.Connections)
	}
	for i := range rows {
		rows[i].Share = max(1, rows[i].Connections*100/most)
	}
	return rows
}

// zoneCount says what the list of zones left out.
func zoneCount(l list) string {
	switch {
	case l.more() > 0 && l.Found < l.Total:
		return fmt.Sprintf("and %s more of %s that match", grouped(int64(l.more())), grouped(int64(l.Found)))
	case l.more() > 0:
		return fmt.Sprintf("and %s more: filter to find them", grouped(int64(l.more())))
	case l.Found < l.Total:
		return fmt.Sprintf("%s of %s match", grouped(int64(l.Found)), plural(l.Total, "zone"))
	}
	return plural(l.Total, "zone")
}
