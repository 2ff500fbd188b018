package dashboard

import (
	"math"
	"testing"
	"time"
)

var (
	noon    = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	started = noon.Add(-26 * time.Hour)
)

// counters is an instance that published n and delivered ten times as many.
func counters(name string, since time.Time, n uint64) Instance {
	return Instance{Name: name, UpSince: since, Published: n, Delivered: 10 * n, Latency: buckets(10 * n)}
}

func TestRates(t *testing.T) {
	restarted := noon.Add(time.Second)
	tests := []struct {
		name string
		give [][]Instance // one snapshot a second
		want rate
	}{
		{"before the second snapshot", [][]Instance{{counters("a", started, 500)}}, rate{}},
		{"steady", [][]Instance{{counters("a", started, 500)}, {counters("a", started, 600)}, {counters("a", started, 700)}}, rate{100, true}},
		{"two instances add up", [][]Instance{
			{counters("a", started, 0), counters("b", started, 0)},
			{counters("a", started, 100), counters("b", started, 50)},
		}, rate{150, true}},
		{"one that starts over is no fall", [][]Instance{
			{counters("a", started, 500), counters("b", started, 0)},
			{counters("a", restarted, 3), counters("b", started, 40)},
		}, rate{40, true}},
		{"one that was silent is no peak", [][]Instance{
			{counters("a", started, 0), counters("b", started, 0)},
			{counters("a", started, 100)},
			{counters("a", started, 200), counters("b", started, 200)},
		}, rate{150, true}}, // 100 in the first second; in the second one 100 of a, and 100 of b: its 200 took two seconds
		{"one that comes new counts from its second snapshot", [][]Instance{
			{counters("a", started, 0)},
			{counters("a", started, 100), counters("b", restarted, 9000)},
		}, rate{100, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m meter
			at := noon
			for _, instances := range tt.give {
				at = at.Add(time.Second)
				m.observe(at, Snapshot{Instances: instances})
			}
			published, delivered := m.rates(at)
			if published.Known != tt.want.Known || math.Abs(published.PerSecond-tt.want.PerSecond) > 0.001 {
				t.Errorf("published %+v, want %+v", published, tt.want)
			}
			if math.Abs(delivered.PerSecond-10*tt.want.PerSecond) > 0.01 {
				t.Errorf("delivered %+v, want ten times %+v", delivered, tt.want)
			}
		})
	}
}

func TestRatesForgetAfterTheirWindow(t *testing.T) {
	var m meter
	at := noon
	for n := uint64(0); n <= 20; n++ {
		at = at.Add(time.Second)
		m.observe(at, Snapshot{Instances: []Instance{counters("a", started, min(n, 5)*100)}})
	}
	if published, _ := m.rates(at); published != (rate{0, true}) {
		t.Errorf("ten quiet seconds show %+v", published)
	}
}

// An instance's own figures come once a second, and so do snapshots: at times one shows nothing new
// and the next two steps.
func TestATrendOfFiguresThatComeUnevenlyIsEven(t *testing.T) {
	var m meter
	at := noon
	for n := uint64(0); n < 20; n++ {
		at = at.Add(time.Second)
		m.observe(at, Snapshot{Instances: []Instance{counters("a", started, n/2*200)}})
	}
	if s := draw(m.samples, at, publishedOf); s.Max > 125 {
		t.Errorf("100 a second show a peak of %g", s.Max)
	}
}

func TestMeterIsBounded(t *testing.T) {
	var m meter
	at := noon
	for i := range 10 * maxSamples {
		at = at.Add(time.Second)
		name := "a"
		if i%2 == 0 {
			name = at.Format(time.TimeOnly) // an instance that is there for one moment
		}
		m.observe(at, Snapshot{Instances: []Instance{counters(name, started, uint64(i))}})
	}
	if len(m.samples) != maxSamples {
		t.Errorf("%d samples are kept, want %d", len(m.samples), maxSamples)
	}
	if most := int(trendWindow/time.Second) + 2; len(m.before) > most {
		t.Errorf("%d instances are remembered, want at most %d", len(m.before), most)
	}
}

func TestSparklineHasHolesWhereNothingIsKnown(t *testing.T) {
	var trend []sample
	at := noon
	for i := range 9 {
		at = at.Add(time.Second)
		trend = append(trend, sample{at: at, connections: 10 * i})
	}
	s := draw(trend, at, func(s sample) (float64, bool) { return float64(s.connections), s.connections != 40 })
	if len(s.Lines) != 2 || len(s.Areas) != 2 || s.Max != 80 {
		t.Fatalf("got %+v", s)
	}
	if want := "M292 39.0L293 34.4L294 29.8L295 25.1"; s.Lines[0] != want {
		t.Errorf("got %s, want %s", s.Lines[0], want)
	}
	if want := s.Lines[0] + "L295 40L292 40Z"; s.Areas[0] != want {
		t.Errorf("got %s, want %s", s.Areas[0], want)
	}
}

// The tile and its sparkline tell of the same deliveries: those of the last minute.
func TestTheTrendOfTheLatencyIsWhatTheTileSays(t *testing.T) {
	var m meter
	at, total := noon, make([]uint64, 4)
	m.observe(at, Snapshot{Instances: []Instance{{Name: "a", UpSince: started, Latency: buckets(total...)}}})
	for second := range 90 {
		at = at.Add(time.Second)
		total[min(second/30, 2)] += 100 // at first fast, then slower and slower
		m.observe(at, Snapshot{Instances: []Instance{{Name: "a", UpSince: started, Latency: buckets(total...)}}})
		last := m.samples[len(m.samples)-1]
		if want := m.latency(at).percentile(0.99); last.p99 != want {
			t.Fatalf("after %d s the trend has %+v, the last minute %+v", second, last.p99, want)
		}
	}
	if p50 := m.samples[len(m.samples)-1].p50.Latency; p50 != 10*time.Millisecond {
		t.Errorf("half of the last minute's deliveries took up to %v, want 10ms", p50)
	}
}
