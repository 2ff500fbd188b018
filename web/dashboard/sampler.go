package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// A picture is everything that the pages show, computed once for all viewers. It never changes after it was published.
type picture struct {
	number uint64    // counts the pictures
	at     time.Time // when it was made
	// taken is when Snapshot was, which is earlier than at while the source fails; zero if there never was one.
	taken time.Time
	Snapshot

	// trouble is why there is nothing newer than taken; nil while all is well. It began at troubleSince.
	trouble      error
	troubleSince time.Time

	published, delivered rate
	p50, p95, p99        percentile
	trend                []sample // of trendWindow, the oldest first
}

// Run asks the source, about once a second while someone looks and every few seconds otherwise, until ctx ends or the
// dashboard is closed. It is called once. It returns nil: a source that fails is shown on the page, and asked again.
func (d *Dashboard) Run(ctx context.Context) error {
	defer d.Close()
	var m meter
	for {
		next := d.sample(ctx, &m)
		if ctx.Err() != nil {
			return nil
		}
		d.show(next)
		timer := time.NewTimer(d.pause())
		select {
		case <-timer.C:
		case <-d.arrived:
		case <-d.closed:
		case <-ctx.Done():
		}
		timer.Stop()
		if d.isClosed() {
			return nil
		}
	}
}

func (d *Dashboard) pause() time.Duration {
	if d.viewers.Load() > 0 {
		return d.opts.Interval
	}
	return d.opts.IdleInterval
}

// sample makes the next picture.
func (d *Dashboard) sample(ctx context.Context, m *meter) *picture {
	asking, cancel := context.WithTimeout(ctx, d.opts.Timeout)
	defer cancel()
	snapshot, err := d.opts.Source.Snapshot(asking)
	before := d.latest.Load()
	if ctx.Err() != nil {
		return before // the program ends; that is no trouble of the source
	}
	next := &picture{number: before.number + 1, at: time.Now()}
	if err != nil {
		err = fmt.Errorf("ask the instances: %w", err)
		next.taken, next.Snapshot = before.taken, before.Snapshot
		next.trouble, next.troubleSince = err, before.troubleSince
		if before.trouble == nil {
			next.troubleSince = next.at
			d.opts.Log.Warn("dashboard has no figures", "error", err)
		}
		m.fail(next.at)
	} else {
		if before.trouble != nil && !before.troubleSince.IsZero() {
			d.opts.Log.Info("dashboard has figures again", "after", next.at.Sub(before.troubleSince))
		}
		next.taken, next.Snapshot = next.at, sorted(snapshot)
		m.observe(next.at, snapshot)
	}
	next.published, next.delivered = m.rates(next.taken)
	recent := m.latency(next.taken, latencyWindow)
	next.p50, next.p95, next.p99 = recent.at(0.50), recent.at(0.95), recent.at(0.99)
	next.trend = slices.Clone(m.within(next.at, trendWindow))
	return next
}

// sorted returns a snapshot in the order of the page: the busiest rooms first, instances by name. The lists are copies.
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

// show publishes a picture and wakes all viewers.
func (d *Dashboard) show(p *picture) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.latest.Store(p)
	close(d.changed)
	d.changed = make(chan struct{})
}

// next returns the present picture and a channel that is closed when there is a newer one.
func (d *Dashboard) next() (*picture, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.latest.Load(), d.changed
}
