package audit

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// A Query selects entries. An empty field does not matter.
type Query struct {
	Who, Action string
	Since       time.Time
	// Before is the ID of the entry to go on after: Page.Next of the page before.
	Before string
	Limit  int // at most MaxPage
}

// MaxPage is the most entries of a page.
const MaxPage = 1000

// A Page has entries, the last ones first.
type Page struct {
	Entries []Entry `json:"entries"`
	Next    string  `json:"next,omitempty"` // what to go on before; empty at the end
	// Refused is how many entries were left out because no instance wrote them.
	Refused int `json:"refused,omitempty"`
}

// chunk is how many values are read from a list at once.
const chunk = 250

// clockTolerance is how much later than an instance's the store's clock may be: entries are in the
// order of the store's.
const clockTolerance = 10 * time.Minute

// Read returns entries of all instances, as far as the store still has them, and those of this
// instance that are recorded already. The error is a *wire.Error.
func (l *Log) Read(ctx context.Context, q Query) (Page, error) {
	page := Page{Entries: []Entry{}}
	place, list := Place{math.MaxUint64, math.MaxUint64}, Others
	if q.Before != "" {
		var ok bool
		if place, list, ok = parseID(q.Before); !ok {
			return page, wire.Errorf(wire.CodeInvalidData, "before is %.40q: give the next of the page before", q.Before)
		}
	}
	l.flushStore(ctx)
	// At one place, what others did comes after what operators did.
	lists := [...]*reader{{list: Operators, place: place, orAt: list == Others && q.Before != ""}, {list: Others, place: place}}
	for {
		var last *reader
		for _, r := range lists {
			if err := r.fill(ctx, l.store); err != nil {
				l.opts.Log.Debug("audit entries not read", "error", err)
				return page, &wire.Error{Code: wire.CodeUnavailable, Message: "Redis is not available: try again, or read the files of AUDIT_LOG",
					RetryAfter: 1000}
			}
			if len(r.values) > 0 && (last == nil || r.values[0].Place.compare(last.values[0].Place) >= 0) {
				last = r
			}
		}
		if last == nil {
			return page, nil
		}
		value := last.values[0]
		if time.UnixMilli(int64(value.Place.MS)).Before(q.Since.Add(-clockTolerance)) {
			return page, nil
		}
		if len(page.Entries) == q.Limit {
			page.Next = page.Entries[q.Limit-1].ID
			return page, nil
		}
		last.values = last.values[1:]
		e, err := l.open(last.list, value.Value)
		if err != nil {
			page.Refused++
			continue
		}
		e.ID = id(value.Place, last.list)
		if (q.Who == "" || q.Who == e.Who) && (q.Action == "" || q.Action == e.Action) && !e.Time.Before(q.Since) {
			page.Entries = append(page.Entries, e)
		}
	}
}

// A reader reads one list backwards.
type reader struct {
	list   List
	place  Place // before which values come next
	orAt   bool
	end    bool
	values []Stored
}

func (r *reader) fill(ctx context.Context, s Store) (err error) {
	if len(r.values) > 0 || r.end {
		return nil
	}
	if r.values, err = s.Before(ctx, r.list, r.place, r.orAt, chunk); err != nil {
		return err
	}
	if r.end = len(r.values) < chunk; !r.end {
		r.place, r.orAt = r.values[chunk-1].Place, false
	}
	return nil
}

func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.MS, q.MS), cmp.Compare(p.Seq, q.Seq))
}

// letters tell the lists apart in an ID.
var letters = map[List]string{Operators: "o", Others: "s"}

func id(p Place, list List) string { return fmt.Sprintf("%d-%d%s", p.MS, p.Seq, letters[list]) }

func parseID(s string) (p Place, list List, ok bool) {
	var letter string
	_, err := fmt.Sscanf(s, "%d-%d%s", &p.MS, &p.Seq, &letter)
	for l, its := range letters {
		if its == letter {
			return p, l, err == nil
		}
	}
	return p, list, false
}
