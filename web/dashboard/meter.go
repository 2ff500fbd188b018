package dashboard

import (
	"cmp"
	"time"
)

const (
	// rateWindow is what the rates on the page are an average of: short enough to follow, long
	// enough to be read.
	rateWindow = 10 * time.Second
	// latencyWindow is what the percentiles are of, those in the trend too: a p99 needs a few
	// hundred deliveries to mean something.
	latencyWindow = time.Minute
	// trendWindow is how far back the sparklines reach.
	trendWindow = 5 * time.Minute
	// maxSamples bounds what is remembered: trendWindow at one sample a second, and some room for
	// irregular ticks.
	maxSamples = 330
)

// A sample is what one snapshot added to the figures.
type sample struct {
	at          time.Time
	connections int
	latency     latencies // since the sample before
	rated       bool      // false for the first sample: growth needs a before

	// Messages per second since the sample before. What an instance tells of itself may be a second
	// old, so a single sample says little: nothing, and then twice as much.
	published, delivered float64

	// As they would have been shown at that moment.
	meanPublished, meanDelivered float64
	p50, p95, p99                percentile
}

// A meter turns the counters of instances, which only ever grow, into rates and percentiles of the
// last moments. It follows each instance by itself, so that one that restarts or stays silent for a
// while distorts nothing.
//
// It is owned by the sampler's goroutine.
type meter struct {
	samples []sample // the oldest first, at most maxSamples
	before  map[string]reading
}

// A reading is an instance's counters as last seen.
type reading struct {
	at time.Time
	Instance
}

// key is what an instance is followed by.
func (i Instance) key() string { return cmp.Or(i.ID, i.Name) }

// observe adds a snapshot.
func (m *meter) observe(at time.Time, s Snapshot) {
	now := sample{at: at, connections: s.Connections}
	for _, inst := range s.Instances {
		was, known := m.before[inst.key()]
		elapsed := at.Sub(was.at).Seconds()
		if !known || !was.UpSince.Equal(inst.UpSince) || elapsed <= 0 {
			continue
		}
		now.rated = true
		now.published += float64(minus(inst.Published, was.Published)) / elapsed
		now.delivered += float64(minus(inst.Delivered, was.Delivered)) / elapsed
		now.latency = now.latency.plus(delta(was.Latency, inst.Latency))
	}
	m.remember(at, s)
	m.push(now)
	last := &m.samples[len(m.samples)-1]
	published, delivered := m.rates(at)
	last.meanPublished, last.meanDelivered = published.PerSecond, delivered.PerSecond
	latency := m.latency(at)
	last.p50, last.p95, last.p99 = latency.percentile(0.50), latency.percentile(0.95), latency.percentile(0.99)
}

// remember keeps the readings of those that answered and, until the trend forgets them, of those
// that did not.
func (m *meter) remember(at time.Time, s Snapshot) {
	if m.before == nil {
		m.before = map[string]reading{}
	}
	for name, was := range m.before {
		if at.Sub(was.at) > trendWindow {
			delete(m.before, name)
		}
	}
	for _, inst := range s.Instances {
		m.before[inst.key()] = reading{at: at, Instance: inst}
	}
}

func (m *meter) push(s sample) {
	if len(m.samples) == maxSamples {
		copy(m.samples, m.samples[1:])
		m.samples = m.samples[:maxSamples-1]
	}
	m.samples = append(m.samples, s)
}

// within returns the samples of the last d before at.
func (m *meter) within(at time.Time, d time.Duration) []sample {
	for i, s := range m.samples {
		if at.Sub(s.at) < d {
			return m.samples[i:]
		}
	}
	return nil
}

// A rate is a number of messages per second; it is not Known before two snapshots were taken.
type rate struct {
	PerSecond float64
	Known     bool
}

// rates returns the mean of the last moments.
func (m *meter) rates(at time.Time) (published, delivered rate) {
	var n float64
	for _, s := range m.within(at, rateWindow) {
		if s.rated {
			n++
			published.PerSecond += s.published
			delivered.PerSecond += s.delivered
		}
	}
	if n == 0 {
		return rate{}, rate{}
	}
	return rate{published.PerSecond / n, true}, rate{delivered.PerSecond / n, true}
}

// latency returns the deliveries of the last latencyWindow.
func (m *meter) latency(at time.Time) latencies {
	var sum latencies
	for _, s := range m.within(at, latencyWindow) {
		sum = sum.plus(s.latency)
	}
	return sum
}
