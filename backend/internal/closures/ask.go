package closures

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// The questions that instances put to one another.
const (
	kindList     = "closures"
	kindReturned = "closures returned"
)

// A Query selects connections that ended. An empty field does not matter.
type Query struct {
	// Text stands in the ID, user, address, User-Agent or a room, in any case of letters.
	Text string `json:"text,omitempty"`
	User string `json:"user,omitempty"`
	// Address and Agent are those of clients without a user.
	Address   string `json:"address,omitempty"`
	Agent     string `json:"agent,omitempty"`
	Code      string `json:"code,omitempty"`
	Warehouse string `json:"warehouse,omitempty"`
	Zone      string `json:"zone,omitempty"`
	// Within limits it to rooms of these warehouses, as it does what is shown of each.
	Within []string `json:"within,omitempty"`
	// Before leaves out what ended later, and at the same time those whose ID is not greater.
	Before   time.Time `json:"before,omitzero"`
	BeforeID string    `json:"beforeId,omitempty"`
	Limit    int       `json:"limit"`
}

// A Page has connections that ended, the last ones first.
type Page struct {
	Total    int       `json:"total"` // from the place on where the page begins
	Closures []Closure `json:"closures"`
	// Churn counts all, whatever the query; of nobody who is limited to warehouses.
	Churn []Churn `json:"churn,omitempty"`
	More  bool    `json:"more,omitempty"` // there are older ones
}

// A Handler answers for this instance. Its Answer is a [cluster.Answerer].
type Handler struct {
	Ring     *Ring
	Sessions func() []*hub.Session // that are open here
	Next     cluster.Answerer      // of other questions
}

// Answer implements [cluster.Answerer].
func (h *Handler) Answer(ctx context.Context, q cluster.Question) (any, error) {
	switch q.Kind {
	case kindList:
		wanted, err := cluster.Asked[Query](q)
		if err != nil {
			return nil, err
		}
		return h.Ring.list(wanted), nil
	case kindReturned:
		left, err := cluster.Asked[[]departed](q)
		if err != nil {
			return nil, err
		}
		return h.returned(left[:min(len(left), MaxPage)]), nil
	}
	return h.Next(ctx, q)
}

func (r *Ring) list(wanted Query) Page {
	wanted.Limit = min(max(wanted.Limit, 1), MaxPage)
	page := Page{Closures: []Closure{}}
	if len(wanted.Within) == 0 {
		page.Churn = r.churn(time.Now())
	}
	for _, c := range r.all() {
		if !wanted.matches(&c) {
			continue
		}
		if page.Total++; page.Total <= wanted.Limit {
			page.Closures = append(page.Closures, c)
		}
	}
	page.More = page.Total > wanted.Limit
	return page
}

// matches reports whether the query selects c, whose rooms of other warehouses it takes away.
func (w Query) matches(c *Closure) bool {
	if !w.Before.IsZero() && (c.Time.After(w.Before) || c.Time.Equal(w.Before) && c.ID <= w.BeforeID) ||
		w.User != "" && c.User != w.User || w.Code != "" && c.Code != w.Code ||
		w.Address != "" && c.Address != w.Address || w.Agent != "" && c.Agent != w.Agent {
		return false
	}
	rooms, more, in := []string{}, c.MoreRooms, w.Warehouse == ""
	for _, name := range c.Rooms {
		room, err := wire.ParseRoom(name)
		if err != nil || len(w.Within) > 0 && !slices.Contains(w.Within, room.Warehouse) {
			continue
		}
		rooms = append(rooms, name)
		in = in || room.Warehouse == w.Warehouse && (w.Zone == "" || room.Zone == w.Zone)
	}
	if len(w.Within) > 0 {
		if more = 0; len(rooms) == 0 {
			return false
		}
	}
	c.Rooms, c.MoreRooms = rooms, more
	text := strings.ToLower(w.Text)
	return in && (text == "" || slices.ContainsFunc(append([]string{c.ID, c.User, c.Address, c.Agent}, rooms...),
		func(s string) bool { return strings.Contains(strings.ToLower(s), text) }))
}

// A departed is a client whose connection of this ID ended at a time, in µs since 1970.
type departed struct {
	ID     string `json:"id"`
	Client string `json:"client"`
	At     int64  `json:"at"`
}

// returned returns when each client came back to this instance, in µs since 1970; 0 for not yet.
func (h *Handler) returned(left []departed) []int64 {
	back := make([]int64, len(left))
	wanted := map[string][]int{} // indexes of left
	for i, d := range left {
		wanted[d.Client] = append(wanted[d.Client], i)
	}
	note := func(id, who string, opened int64) {
		for _, i := range wanted[who] {
			if id != left[i].ID && opened >= left[i].At && (back[i] == 0 || opened < back[i]) {
				back[i] = opened
			}
		}
	}
	for _, s := range h.Sessions() {
		names, _ := named(s.Rooms())
		note(s.ID, client(s.User, s.Peer.Address, s.Peer.Agent(), names), s.Opened.UnixMicro())
	}
	for _, c := range h.Ring.all() { // who came back, and left again
		note(c.ID, c.Client, c.Opened.UnixMicro())
	}
	return back
}

// A Client asks all instances.
type Client struct{ Cluster cluster.Cluster }

// List returns a page of what ended at all instances, with when its clients came back. Missing are
// the instances that did not answer.
func (c Client) List(ctx context.Context, wanted Query) (page Page, answers cluster.Answers, _ error) {
	limit := min(max(wanted.Limit, 1), MaxPage)
	data, err := json.Marshal(wanted)
	if err != nil {
		return Page{}, cluster.Answers{}, fmt.Errorf("ask for closures: %w", err)
	}
	listing, cancel := listTimeout(ctx)
	defer cancel()
	answers = c.Cluster.Ask(listing, cluster.Question{Kind: kindList, Data: data})
	var churn []Churn
	for _, a := range answers.All {
		var one Page
		if err := json.Unmarshal(a.Data, &one); err != nil {
			answers.Missing = append(answers.Missing, a.Node+" (its answer is not readable)")
			continue
		}
		page.Total += one.Total
		page.Closures = append(page.Closures, one.Closures...)
		churn = append(churn, one.Churn...)
	}
	page.Churn = sum(churn)
	slices.SortFunc(page.Closures, func(a, b Closure) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.ID, b.ID))
	})
	if len(page.Closures) > limit {
		page.Closures = page.Closures[:limit]
	}
	page.More = page.Total > len(page.Closures)
	return page, answers, c.addReturned(ctx, page.Closures)
}

// listTimeout leaves a third of the time for the second question.
func listTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	until, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(until)*2/3)
}

// addReturned adds when the clients came back, as far as the instances say it in time.
func (c Client) addReturned(ctx context.Context, all []Closure) error {
	if len(all) == 0 {
		return nil
	}
	left := make([]departed, len(all))
	for i := range all {
		left[i] = departed{all[i].ID, all[i].Client, all[i].Time.UnixMicro()}
	}
	data, err := json.Marshal(left)
	if err != nil {
		return fmt.Errorf("ask who came back: %w", err)
	}
	for _, a := range c.Cluster.Ask(ctx, cluster.Question{Kind: kindReturned, Data: data}).All {
		var back []int64
		if json.Unmarshal(a.Data, &back) != nil || len(back) != len(all) {
			continue // it says nothing
		}
		for i, at := range back {
			if at != 0 && (all[i].Returned == 0 || at < all[i].Returned) {
				all[i].Returned = at
			}
		}
	}
	return nil
}
