package dashboard

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
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
	pages  []pageLink
	// roomPages says that warehouses and zones have pages of their own.
	roomPages bool
	// instancePages says that instances have.
	instancePages bool
	filter        string
	// busiest sorts the zones by their connections; rank is the order that a stream began with.
	busiest bool
	rank    map[Zone]int
	page    int // of the zones, from 1
	// origin is the address that the viewer reached the server at, "http://host:port".
	origin      string
	keyRequired bool
}

// layout is what is around the overview.
func (v view) layout() layout {
	return layout{Path: Prefix, Pages: v.pages, Skip: "totals", SkipText: "the figures", Stream: v.eventsAddress(),
		Self: v.address(Prefix, v.busiest, v.page), Viewer: v.viewer}
}

// waiting reports whether there were no figures yet at all.
func (v view) waiting() bool { return v.taken.IsZero() }

// empty reports whether a running system waits for its first client: nobody was ever here.
func (v view) empty() bool {
	served := func(i Instance) bool { return i.Delivered > 0 }
	return !v.waiting() && v.Connections == 0 && len(v.Gone)+len(v.Missing) == 0 && v.busy.Until.IsZero() &&
		!slices.ContainsFunc(v.Instances, served)
}

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
		{"asof", asOf(v.taken, v.number)},
		{"verdict", verdictLine(v.verdict)},
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

// versionsOf says how many instances have which version; empty while all have the same.
func versionsOf(instances []Instance) string {
	counts := map[string]int{}
	for _, inst := range instances {
		counts[inst.Version]++
	}
	if len(counts) < 2 {
		return ""
	}
	var texts []string
	for _, version := range slices.SortedFunc(maps.Keys(counts), natural) {
		texts = append(texts, fmt.Sprintf("%s on %s", version, plural(counts[version], "instance")))
	}
	return strings.Join(texts, ", ")
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

// instanceRows are the instances that the table shows, and goneRows the silent ones, which come
// after them.
func (v view) instanceRows() []Instance { return v.Instances[:min(len(v.Instances), maxInstanceRows)] }

func (v view) goneRows() []Gone {
	all := v.gone()
	return all[:min(len(all), maxInstanceRows)]
}

// gone are those that are gone, and those that are missed without having been seen.
func (v view) gone() []Gone {
	all := slices.Clone(v.Gone)
	for _, name := range v.Missing {
		if !slices.ContainsFunc(all, func(g Gone) bool { return g.Name == name }) {
			all = append(all, Gone{Name: name, Connections: -1})
		}
	}
	return all
}

// text says since when an instance does not answer, and what it held.
func (g Gone) text() string {
	text := "no answer"
	if !g.Since.IsZero() {
		text += " since " + clock(g.Since)
	}
	if g.Connections >= 0 {
		text += ", held " + plural(g.Connections, "client")
	}
	return text
}

func (v view) hiddenInstances() int {
	return len(v.Instances) + len(v.gone()) - len(v.instanceRows()) - len(v.goneRows())
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

// id is the row's own, so that it is the same row after a change.
func (r roomRow) id() string {
	return "zone-" + url.PathEscape(r.Warehouse) + "/" + url.PathEscape(r.Zone)
}

// screen is the address of the wall display of a zone.
func (r roomRow) screen() string {
	return "/screen/" + url.PathEscape(r.Warehouse) + "/" + url.PathEscape(r.Zone)
}

// filterAddress is this page with the zones of one warehouse.
func (r roomRow) filterAddress() string {
	return Prefix + "?filter=" + url.QueryEscape(warehouseWord+r.Warehouse)
}

// room is what the row is of.
func (r roomRow) room() Room { return Room{Warehouse: r.Warehouse, Zone: r.Zone} }

// listsClients reports whether there is a page of the clients.
func (v view) listsClients() bool {
	return slices.ContainsFunc(v.pages, func(p pageLink) bool { return p.Path == ClientsPath })
}

// A list is what a table of rooms shows.
type list struct {
	Rows  []roomRow
	Found int // that the filter lets through
	Total int
	Page  int // from 1
	Pages int
}

// more is how many rows did not fit.
func (l list) more() int { return l.Found - len(l.Rows) }

// warehouses are those with a zone that the filter lets through, or whose name it does.
func (v view) warehouses() list {
	l := list{Total: len(v.Warehouses), Page: 1, Pages: 1}
	words := v.words()
	found := map[string]bool{}
	for _, z := range v.Zones {
		found[z.Warehouse] = found[z.Warehouse] || matches(z, words)
	}
	for _, w := range v.Warehouses {
		if !found[w.Name] && !matches(Zone{Warehouse: w.Name}, words) {
			continue
		}
		l.Found++
		if len(l.Rows) < maxWarehouseRows {
			l.Rows = append(l.Rows, roomRow{Warehouse: w.Name, Connections: w.Connections})
		}
	}
	l.Rows = withShares(l.Rows)
	return l
}

func (v view) zones() list {
	l := list{Total: len(v.Zones)}
	words := v.words()
	found := slices.DeleteFunc(slices.Clone(v.Zones), func(z Zone) bool { return !matches(z, words) })
	if v.rank != nil {
		slices.SortStableFunc(found, func(a, b Zone) int { return cmp.Compare(v.rankOf(a), v.rankOf(b)) })
	} else if v.busiest {
		slices.SortStableFunc(found, busiestFirst)
	}
	l.Found, l.Pages = len(found), max(1, (len(found)+maxZoneRows-1)/maxZoneRows)
	l.Page = min(max(v.page, 1), l.Pages)
	for _, z := range found[(l.Page-1)*maxZoneRows : min(l.Page*maxZoneRows, len(found))] {
		l.Rows = append(l.Rows, roomRow{Warehouse: z.Warehouse, Zone: z.Name, Connections: z.Connections})
	}
	l.Rows = withShares(l.Rows)
	return l
}

func busiestFirst(a, b Zone) int { return cmp.Compare(b.Connections, a.Connections) }

// ranks returns the zones' places, the busiest first, so that a stream can keep to them: rows that
// moved each second could not be clicked.
func (v view) ranks() map[Zone]int {
	rank := map[Zone]int{}
	for i, z := range slices.SortedStableFunc(slices.Values(v.Zones), busiestFirst) {
		rank[Zone{Warehouse: z.Warehouse, Name: z.Name}] = i
	}
	return rank
}

// rankOf is a zone's place; those that came since follow.
func (v view) rankOf(z Zone) int {
	if rank, ok := v.rank[Zone{Warehouse: z.Warehouse, Name: z.Name}]; ok {
		return rank
	}
	return len(v.rank)
}

// address is this page, or the stream of it, with what the viewer chose: in this order, at this
// page.
func (v view) address(at string, busiest bool, page int) string {
	query := url.Values{}
	if v.filter != "" {
		query.Set("filter", v.filter)
	}
	if busiest {
		query.Set("sort", "connections")
	}
	if page > 1 {
		query.Set("page", strconv.Itoa(page))
	}
	if len(query) == 0 {
		return at
	}
	return at + "?" + query.Encode()
}

// sortedBy says whether a column is what the rows are sorted by, as aria-sort does.
func sortedBy(on bool, direction string) string {
	if on {
		return direction
	}
	return "none"
}

func (v view) words() []string { return strings.Fields(v.filter) }

// warehouseWord, before a name, lets exactly this warehouse through.
const warehouseWord = "warehouse:"

// matches reports whether each word stands somewhere in the name of the warehouse or of the zone,
// or is warehouse: and the warehouse's name.
func matches(z Zone, words []string) bool {
	name := strings.ToLower(z.Warehouse + "/" + z.Name)
	for _, w := range words {
		if exact, ok := strings.CutPrefix(w, warehouseWord); ok {
			if z.Warehouse != exact {
				return false
			}
		} else if !strings.Contains(name, strings.ToLower(w)) {
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
	case l.Pages > 1:
		first := (l.Page-1)*maxZoneRows + 1
		return fmt.Sprintf("%s to %s of %s", grouped(int64(first)), grouped(int64(first+len(l.Rows)-1)), plural(l.Found, "zone"))
	case l.Found < l.Total:
		return fmt.Sprintf("%s of %s match", grouped(int64(l.Found)), plural(l.Total, "zone"))
	}
	return plural(l.Total, "zone")
}
