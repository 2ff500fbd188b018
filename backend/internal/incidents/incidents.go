// Package incidents remembers what happened to the system, for operators.
//
//	cmd, Watcher ── Record, Count ──▶ Log ── each second ──▶ audit.Store (memory, or a Redis stream for all instances)
//	dashboard ◀── Read ────────────────────────────────────────┘
//
// The store keeps the last [audit.MaxEntries]. What may happen often is counted, and recorded once
// a minute at most, so that days fit. While the store is away a bounded number waits for it.
package incidents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/wire"
)

// The kinds.
const (
	Started      = "started" // an instance
	Gone         = "gone"    // an instance, without taking leave
	Back         = "back"    // an instance that was gone
	DrainBegun   = "drain_begun"
	DrainEnded   = "drain_ended" // the instance is in service again
	Left         = "left"        // an instance, after its drain
	BrokerDown   = "broker_down"
	BrokerUp     = "broker_up"
	Gaps         = "gaps"         // clients were told that messages can't be recovered
	HistoryLost  = "history_lost" // a room began a new epoch
	Flood        = "flood"        // connections were refused because of a limit
	QuotaReached = "quota"
	Settings     = "settings" // were reloaded, or could not be
)

// An Incident is one thing that happened.
type Incident struct {
	Time time.Time `json:"time"`
	Kind string    `json:"kind"`
	// Node is the instance that it happened to.
	Node   string `json:"node"`
	Detail string `json:"detail,omitempty"`
	// Lasted is how long it took, in ms, of what is over.
	Lasted int64 `json:"lasted,omitempty"`
	Count  int   `json:"count,omitempty"` // of several in one
}

const (
	// list is the place in the store.
	list audit.List = "events"
	// maxText is the most bytes of a detail; maxValue of a value of the store.
	maxText, maxValue = 512, 8 << 10
	// maxWaiting is how many incidents wait for a store that is away; more are dropped, the oldest
	// first.
	maxWaiting = 500
	// maxCounted is how many things are counted at once; more are not told apart.
	maxCounted = 64
	// countInterval is how often what is counted is recorded.
	countInterval = time.Minute
	storeInterval = time.Second
	// MaxPage is the most incidents of a page.
	MaxPage = 1000
)

// Options of a [Log]. Node and Store are needed.
type Options struct {
	Node  string
	Store audit.Store
	// Signer signs what is kept; nil for nothing.
	Signer *bus.Signer
	Log    *slog.Logger // default: none
}

// A Log is safe for concurrent use. One that is nil records nothing.
type Log struct {
	opts Options // static

	storing sync.Mutex // held by the one who writes to the store, and before mu

	mu      sync.Mutex
	waiting []Incident
	counted map[what]*tally
}

type what struct{ kind, detail string }

// A tally counts what happens often.
type tally struct {
	n        int
	recorded time.Time
}

// New returns a log, whose Run has to follow.
func New(o Options) *Log {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Log{opts: o, counted: map[what]*tally{}}
}

// Record records an incident. It sets the time and the node, if there are none.
func (l *Log) Record(i Incident) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recordLocked(i)
}

func (l *Log) recordLocked(i Incident) {
	if i.Time.IsZero() {
		i.Time = time.Now()
	}
	if i.Node == "" {
		i.Node = l.opts.Node
	}
	i.Time = i.Time.UTC().Truncate(time.Millisecond)
	i.Detail = i.Detail[:min(len(i.Detail), maxText)]
	l.waiting = append(l.waiting, i)
	l.waiting = l.waiting[max(0, len(l.waiting)-maxWaiting):]
}

// Count records something that may happen often: the first at once, and then once a minute how many
// there were. Detail is one of a few.
func (l *Log) Count(kind, detail string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := what{kind, detail}
	t := l.counted[key]
	if t == nil && len(l.counted) >= maxCounted {
		key.detail = ""
		t = l.counted[key]
	}
	if t == nil {
		t = new(tally)
		l.counted[key] = t
	}
	t.n++
	l.recordCountedLocked(time.Now())
}

// recordCountedLocked records what has not been for countInterval, and forgets what does not go on.
func (l *Log) recordCountedLocked(now time.Time) {
	for key, t := range l.counted {
		switch {
		case now.Sub(t.recorded) < countInterval:
		case t.n == 0:
			delete(l.counted, key)
		default:
			l.recordLocked(Incident{Time: now, Kind: key.kind, Detail: key.detail, Count: t.n})
			t.n, t.recorded = 0, now
		}
	}
}

// Run writes to the store until ctx ends, and once more then.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(storeInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.mu.Lock()
			l.recordCountedLocked(time.Now())
			l.mu.Unlock()
			l.store(ctx)
		case <-ctx.Done():
			l.store(context.WithoutCancel(ctx))
			return
		}
	}
}

// store writes what waits.
func (l *Log) store(ctx context.Context) {
	l.storing.Lock()
	defer l.storing.Unlock()
	l.mu.Lock()
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	if len(waiting) == 0 {
		return
	}
	values := make([]string, len(waiting))
	for i, one := range waiting {
		value, _ := json.Marshal(one) // of texts, numbers and a time
		values[i] = l.opts.Signer.Seal(bus.Audit, string(list), string(value))
	}
	ctx, cancel := context.WithTimeout(ctx, storeInterval)
	defer cancel()
	if err := l.opts.Store.Append(ctx, list, values); err != nil {
		l.opts.Log.Debug("events wait for the store", "waiting", len(waiting), "error", err)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.waiting = append(waiting, l.waiting...)
		l.waiting = l.waiting[max(0, len(l.waiting)-maxWaiting):]
	}
}

// A Query selects incidents. An empty field does not matter.
type Query struct {
	Kind, Node string
	Since      time.Time
	Before     string // Page.Next of the page before
	Limit      int    // at most MaxPage
}

// A Page has incidents, the last ones first.
type Page struct {
	Incidents []Incident
	Next      string // empty at the end
}

// sorted is the page with the last ones first: who waited for the store comes later to it.
func (p Page) sorted() Page {
	slices.SortStableFunc(p.Incidents, func(a, b Incident) int { return b.Time.Compare(a.Time) })
	return p
}

// Read returns incidents of all instances, as far as the store still has them. The error is a
// *wire.Error.
func (l *Log) Read(ctx context.Context, q Query) (page Page, _ error) {
	place := audit.Place{MS: math.MaxUint64, Seq: math.MaxUint64}
	if q.Before != "" {
		if _, err := fmt.Sscanf(q.Before, "%d-%d", &place.MS, &place.Seq); err != nil {
			return page, wire.Errorf(wire.CodeInvalidData, "before is %.40q: give the next of the page before", q.Before)
		}
	}
	const chunk = 250
	limit := min(max(q.Limit, 1), MaxPage)
	for {
		values, err := l.opts.Store.Before(ctx, list, place, false, chunk)
		if err != nil {
			return page, &wire.Error{Code: wire.CodeUnavailable, Message: "Redis is not available: try again", RetryAfter: 1000}
		}
		for _, v := range values {
			if len(page.Incidents) == limit {
				page.Next = fmt.Sprintf("%d-%d", place.MS, place.Seq)
				return page.sorted(), nil
			}
			place = v.Place
			i, err := l.open(v.Value)
			if err != nil {
				continue // not written by an instance
			}
			if (q.Kind == "" || q.Kind == i.Kind) && (q.Node == "" || q.Node == i.Node) && !i.Time.Before(q.Since) {
				page.Incidents = append(page.Incidents, i)
			}
		}
		if len(values) < chunk {
			return page.sorted(), nil
		}
	}
}

func (l *Log) open(value string) (i Incident, err error) {
	if value, err = l.opts.Signer.OpenStored(bus.Audit, string(list), value, maxValue); err != nil {
		return i, err
	}
	if json.Unmarshal([]byte(value), &i) != nil || len(i.Detail) > maxText || i.Lasted < 0 {
		return i, errors.New("not an incident")
	}
	return i, nil
}
