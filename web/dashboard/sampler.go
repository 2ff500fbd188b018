package dashboard

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
)

// Figures are everything that the pages show, computed once for all viewers. They never change
// after they were published.
type figures struct {
	number uint64    // counts the snapshots
	taken  time.Time // when the snapshot was; zero before the first
	Snapshot

	published, delivered rate
	p50, p95, p99        percentile
	verdict              verdict
	busy                 busy
	trend                []sample // of trendWindow, the oldest first
}

// Run takes a snapshot about once a second while someone looks and every few seconds otherwise,
// until ctx ends or the dashboard is closed. It is called once.
func (d *Dashboard) Run(ctx context.Context) {
	defer d.feeds.close()
	defer d.Close()
	var m meter
	for {
		d.show(d.sample(&m))
		timer := time.NewTimer(d.pause())
		select {
		case <-timer.C:
		case <-d.arrived:
		case <-d.closed:
		case <-ctx.Done():
		}
		timer.Stop()
		if d.isClosed() || ctx.Err() != nil {
			return
		}
	}
}

func (d *Dashboard) pause() time.Duration {
	if d.viewers.Load() > 0 {
		return d.opts.Interval
	}
	return d.opts.IdleInterval
}

// sample makes the next figures.
func (d *Dashboard) sample(m *meter) *figures {
	snapshot := sorted(d.opts.Source())
	next := &figures{number: d.latest.Load().number + 1, taken: time.Now(), Snapshot: snapshot}
	m.observe(next.taken, snapshot)
	next.published, next.delivered = m.rates(next.taken)
	latest := m.samples[len(m.samples)-1]
	next.p50, next.p95, next.p99 = latest.p50, latest.p95, latest.p99
	last := d.latest.Load()
	next.busy = last.busy
	if snapshot.Connections > 0 {
		next.busy = busy{Until: next.taken}
		for _, s := range m.samples {
			next.busy.Connections = max(next.busy.Connections, s.connections)
		}
	}
	next.verdict.Level, next.verdict.Why = judge(snapshot, next.busy)
	next.verdict.LostClients = lostClients(snapshot, next.busy)
	next.verdict.Since = last.verdict.Since
	if next.verdict.Level != last.verdict.Level || next.verdict.Since.IsZero() {
		next.verdict.Since = next.taken
	}
	d.past.add(next, latest)
	next.trend = slices.Clone(m.within(next.taken, trendWindow))
	return next
}

// sorted returns a snapshot in the order of the page, by name, so that rows stay where they are.
// The lists are copies. Zones without clients that are published to are among the others.
func sorted(s Snapshot) Snapshot {
	s.Instances = slices.SortedFunc(slices.Values(s.Instances), func(a, b Instance) int { return cmp.Compare(a.Name, b.Name) })
	s.Missing = slices.Sorted(slices.Values(s.Missing))
	s.Gone = slices.SortedFunc(slices.Values(s.Gone), func(a, b Gone) int { return natural(a.Name, b.Name) })
	s.Warehouses = slices.SortedFunc(slices.Values(s.Warehouses), func(a, b Warehouse) int { return natural(a.Name, b.Name) })
	zones := slices.Clone(s.Zones)
	for _, z := range s.Recent {
		if !slices.ContainsFunc(s.Zones, func(other Zone) bool { return other.Warehouse == z.Warehouse && other.Name == z.Name }) {
			zones = append(zones, z)
		}
	}
	slices.SortFunc(zones, byName)
	s.Zones = zones
	return s
}

func byName(a, b Zone) int { return cmp.Or(natural(a.Warehouse, b.Warehouse), natural(a.Name, b.Name)) }

// natural compares names as people count: zone-2 before zone-10.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, restA := chunk(a)
		y, restB := chunk(b)
		if isDigit(x[0]) && isDigit(y[0]) {
			p, q := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if order := cmp.Or(cmp.Compare(len(p), len(q)), cmp.Compare(p, q), cmp.Compare(len(x), len(y))); order != 0 {
				return order
			}
		} else if order := cmp.Compare(x, y); order != 0 {
			return order
		}
		a, b = restA, restB
	}
	return cmp.Compare(len(a), len(b))
}

// chunk cuts the digits at the beginning off, or all up to the first digit.
func chunk(s string) (first, rest string) {
	digits := isDigit(s[0])
	end := strings.IndexFunc(s, func(r rune) bool { return (r >= '0' && r <= '9') != digits })
	if end < 0 {
		return s, ""
	}
	return s[:end], s[end:]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// show publishes figures and wakes all viewers.
func (d *Dashboard) show(f *figures) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.latest.Store(f)
	close(d.changed)
	d.changed = make(chan struct{})
}

// next returns the present figures and a channel that is closed when there are newer ones.
func (d *Dashboard) next() (*figures, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.latest.Load(), d.changed
}
