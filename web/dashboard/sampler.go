package dashboard

import (
	"cmp"
	"context"
	"slices"
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
	trend                []sample // of trendWindow, the oldest first
}

// Run takes a snapshot about once a second while someone looks and every few seconds otherwise,
// until ctx ends or the dashboard is closed. It is called once.
func (d *Dashboard) Run(ctx context.Context) {
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
	next.trend = slices.Clone(m.within(next.taken, trendWindow))
	return next
}

// sorted returns a snapshot in the order of the page: the busiest rooms first, instances by name.
// The lists are copies.
func sorted(s Snapshot) Snapshot {
	s.Instances = slices.SortedFunc(slices.Values(s.Instances), func(a, b Instance) int { return cmp.Compare(a.Name, b.Name) })
	s.Missing = slices.Sorted(slices.Values(s.Missing))
	s.Warehouses = slices.SortedFunc(slices.Values(s.Warehouses), func(a, b Warehouse) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.Name, b.Name))
	})
	s.Zones = slices.SortedFunc(slices.Values(s.Zones), func(a, b Zone) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.Warehouse, b.Warehouse), cmp.Compare(a.Name, b.Name))
	})
	return s
}

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
