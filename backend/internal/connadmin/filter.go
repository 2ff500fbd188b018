package connadmin

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/hub"
)

// A Filter narrows a selection further. Instances of versions that don't know it don't answer.
type Filter struct {
	// Text stands in the ID, user, address, User-Agent or a room, in any case of letters.
	Text      string `json:"text,omitempty"`
	Warehouse string `json:"warehouse,omitempty"` // in at least one room of it
	Transport string `json:"transport,omitempty"`
	Address   string `json:"address,omitempty"` // begins so
	Agent     string `json:"agent,omitempty"`   // stands in the User-Agent, in any case of letters
	// MinQueued is how many bytes wait for it at least.
	MinQueued int `json:"minQueued,omitempty"`
	// OpenedBefore, in ms since 1970, leaves out those that were opened later: who came back since
	// the caller looked.
	OpenedBefore int64    `json:"openedBefore,omitempty"`
	IDs          []string `json:"ids,omitempty"` // one of these, at most MaxIDs
	// Sort is the order of a list.
	Sort Sort `json:"sort,omitempty"`
	// AfterValue goes with After where the list is not sorted by the IDs.
	AfterValue int64 `json:"afterValue,omitempty"`
	// Show asks for these connections, at most MaxIDs, instead of a page of those that are
	// selected, which are only counted.
	Show []string `json:"show,omitempty"`
}

// A Sort is an order of a list. Those that have the same value follow in the order of their IDs.
type Sort string

// The orders. What a list is sorted by may change while it is read page by page.
const (
	ByID     Sort = ""
	Oldest   Sort = "oldest"
	Newest   Sort = "newest"
	ByQueued Sort = "queued" // the most bytes first
	ByRTT    Sort = "rtt"    // the longest first
	BySent   Sort = "sent"   // the most bytes first
)

// Sorts lists the orders.
func Sorts() []Sort { return []Sort{ByID, Oldest, Newest, ByQueued, ByRTT, BySent} }

func (f Filter) isZero() bool { return f.selectsAll() && !f.isSorted() && len(f.Show) == 0 }

func (f Filter) selectsAll() bool {
	return f.Text == "" && f.Warehouse == "" && f.Transport == "" && f.Address == "" && f.Agent == "" && f.MinQueued == 0 &&
		f.OpenedBefore == 0 && len(f.IDs) == 0
}

func (f Filter) isSorted() bool { return f.Sort != ByID }

// matches reports whether a session is selected. What is cheap to find out comes first.
func (f Filter) matches(w Selection, s *hub.Session) bool {
	return (len(f.IDs) == 0 || slices.Contains(f.IDs, s.ID)) &&
		(f.OpenedBefore == 0 || s.Opened.UnixMilli() <= f.OpenedBefore) &&
		(f.Transport == "" || f.Transport == s.Queue.Transport()) &&
		strings.HasPrefix(s.Peer.Address, f.Address) &&
		contains(s.Peer.Agent(), f.Agent) &&
		(f.MinQueued == 0 || s.Queue.Stats().QueuedBytes >= f.MinQueued) &&
		(f.Warehouse == "" || f.inWarehouse(w, s)) &&
		(f.Text == "" || f.hasText(w, s))
}

// contains reports whether part stands in s, in any case of letters.
func contains(s, part string) bool {
	return part == "" || strings.Contains(strings.ToLower(s), strings.ToLower(part))
}

func (f Filter) inWarehouse(w Selection, s *hub.Session) bool {
	for _, r := range s.Rooms() {
		if r.Warehouse == f.Warehouse && w.within(r) {
			return true
		}
	}
	return false
}

func (f Filter) hasText(w Selection, s *hub.Session) bool {
	if contains(s.ID, f.Text) || contains(s.User, f.Text) || contains(s.Peer.Address, f.Text) || contains(s.Peer.Agent(), f.Text) {
		return true
	}
	for _, r := range s.Rooms() {
		if w.within(r) && contains(r.String(), f.Text) {
			return true
		}
	}
	return false
}

// value is what a connection is sorted by, the largest first.
func (f Filter) value(c *Connection) int64 {
	switch f.Sort {
	case Oldest:
		return -c.Opened
	case Newest:
		return c.Opened
	case ByQueued:
		return int64(c.QueuedBytes)
	case ByRTT:
		return int64(math.Round(c.RTT * 1000))
	case BySent:
		return int64(c.SentBytes)
	}
	return 0
}

func (f Filter) compare(a, b Connection) int {
	return cmp.Or(cmp.Compare(f.value(&b), f.value(&a)), cmp.Compare(a.ID, b.ID))
}

// A ranked is a session and what it is sorted by.
type ranked struct {
	value int64
	*hub.Session
}

func (f Filter) rank(s *hub.Session) ranked {
	t := s.SessionStats()
	return ranked{f.value(&Connection{Opened: s.Opened.UnixMilli(), QueuedBytes: t.QueuedBytes, SentBytes: t.Bytes,
		RTT: float64(t.RTT.Microseconds()) / 1000}), s}
}

// isBefore reports whether a session comes before the place where the page begins, or is there.
func (w Selection) isBefore(r ranked) bool {
	return w.After != "" && (r.value > w.AfterValue || r.value == w.AfterValue && r.ID <= w.After)
}

// listSorted returns a page of the sessions of one instance that is not sorted by the IDs.
func listSorted(node string, sessions []*hub.Session, wanted Selection) Page {
	var selected []ranked
	for _, s := range sessions {
		if !wanted.matches(node, s) {
			continue
		}
		if r := wanted.rank(s); !wanted.isBefore(r) {
			selected = append(selected, r)
		}
	}
	slices.SortFunc(selected, func(a, b ranked) int { return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.ID, b.ID)) })
	page := Page{Total: len(selected), Connections: []Connection{}}
	if len(selected) > wanted.Limit {
		selected = selected[:wanted.Limit]
		page.Next, page.NextValue = selected[wanted.Limit-1].ID, selected[wanted.Limit-1].value
	}
	for _, r := range selected {
		page.Connections = append(page.Connections, describe(node, r.Session, wanted))
	}
	return page
}

// show returns those of one instance that are to be shown, and counts those that are selected.
func show(node string, sessions []*hub.Session, wanted Selection) Page {
	page := Page{Connections: []Connection{}}
	for _, s := range sessions {
		if wanted.matches(node, s) {
			page.Total++
		}
		// An ID alone shows nobody what they may not see.
		if slices.Contains(wanted.Show, s.ID) && (Selection{Within: wanted.Within}).matches(node, s) {
			page.Connections = append(page.Connections, describe(node, s, wanted))
		}
	}
	return page
}
