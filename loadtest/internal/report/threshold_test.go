package report

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func parsed(t *testing.T, text string) Threshold {
	t.Helper()
	threshold, err := ParseThreshold(text)
	if err != nil {
		t.Fatal(err)
	}
	return threshold
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		give     string
		measured string
		met      bool
	}{
		{"latency.p95<100ms", "4.88 ms", true},
		{" latency.p95 < 100 ms ", "4.88 ms", true},
		{"latency.p95<4.875ms", "4.88 ms", false},
		{"latency.p95<=4875us", "4.88 ms", true},
		{"latency.p99.9>1s", "12.0 ms", false},
		{"delivered>=99.9%", "100 %", true},
		{"delivered==100%", "100 %", true},
		{"connected>99%", "100 %", true},
		{"lost==0", "0", true},
		{"errors<1", "0", true},
		{"throughput>=99993", "99,993", true},
		{"throughput>1e6", "99,993", false},
		{"replay.p95<1h", "nothing measured", false},
	} {
		th := parsed(t, tt.give)
		if got := th.Check(good()); got.Measured != tt.measured || got.Met != tt.met {
			t.Errorf("%s: %+v, want %q, %v", th, got, tt.measured, tt.met)
		}
	}
}

// A warm server's cost of a connection is unknown: no threshold is met, and it says what to do.
func TestCheckSaysWhatCanNotBeMeasured(t *testing.T) {
	r := good()
	r.Servers = []Server{{Name: "h:1", MemoryBefore: 2 << 20, MemoryIdle: 2 << 20}}
	for _, give := range []string{"server.kib<=12", "server.kib>=0"} {
		want := "not measurable: h:1 already had free memory: restart it to measure the memory per connection"
		if got := parsed(t, give).Check(r); got.Met || got.Measured != want {
			t.Errorf("%+v", got)
		}
	}
}

// A share that is not quite the whole is never shown as the whole.
func TestCheckRoundsSharesDown(t *testing.T) {
	r := good()
	r.SuccessPercent = 99.9999
	if got := parsed(t, "delivered==100%").Check(r); got.Met || got.Measured != "99.999 %" {
		t.Errorf("%+v", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ give, want string }{
		{"", "write a metric"},
		{"latency.p95", "write a metric"},
		{"latency.p95<", "write a metric"},
		{"latency.p95!=3ms", "write a metric"},
		{"<100ms", "write a metric"},
		{"latency.p94<100ms", "there is no metric latency.p94"},
		{"latency<100ms", "there is no metric latency; there are {latency,"},
		{"latency.p95<100", `a duration like 100ms or 1.5s, not "100"`},
		{"latency.p95<-1ms", "a duration"},
		{"latency.p95<99%", "a duration"},
		{"delivered>=99.9", `a percentage like 99.9%, not "99.9"`},
		{"delivered>=101%", "a percentage"},
		{"delivered>=NaN%", "a percentage"},
		{"lost<1ms", `a number like 0 or 1000, not "1ms"`},
		{"lost<-1", "a number"},
		{"lost<NaN", "a number"},
	} {
		_, err := ParseThreshold(tt.give)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Parse(%q): %v, want it to say %q", tt.give, err, tt.want)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name       string
		change     func(*Result)
		thresholds []string
		failures   []string
		met        []bool
	}{
		{"all good", func(*Result) {}, nil, nil, nil},
		{"ended early", func(r *Result) { r.Stopped = "interrupted" }, nil,
			[]string{"the run ended early: interrupted"}, nil},
		{"interrupted while connecting", func(r *Result) {
			r.StartedAt, r.Stopped, r.Connections.Joined = time.Time{}, Interrupted, 300
		}, nil,
			[]string{"the run ended early: interrupted", "700 of 1,000 members were not connected by then"}, nil},
		{"connections missing", func(r *Result) { r.Connections.Joined, r.Connections.Lost = 990, 4 }, nil,
			[]string{"10 of 1,000 members could not connect, and 4 of 990 were not connected at the end"}, nil},
		{"connections broken and replaced", brokenOnce, nil, []string{"1,000 connections broke during the run"}, nil},
		{"breaks that a threshold allows", brokenOnce, []string{"broken<=1000", "offline.max<5s"}, nil, []bool{true, true}},
		{"not all sent", func(r *Result) { r.Messages.Failed, r.Messages.NotSent, r.Messages.Sent = 2, 1, 97 }, nil,
			[]string{"2 of 6,000 messages were refused or unanswered, and 1 of 6,000 messages could not be sent in time"}, nil},
		{"refused only", func(r *Result) { r.Messages.Failed, r.Messages.Sent = 2, 98 }, nil,
			[]string{"2 of 6,000 messages were refused or unanswered"}, nil},
		{"losses", lossy, nil, []string{"50 of 6,000,000 deliveries were lost", "50 offsets are missing that must rise by one"}, nil},
		{"losses that a threshold allows", lossy, []string{"delivered>=99.9%"}, nil, []bool{true}},
		{"losses that a threshold does not allow", lossy, []string{"lost<50"}, nil, []bool{false}},
		{"duplicates and reordering", func(r *Result) { r.Messages.Duplicated, r.Messages.Reordered = 3, 4 }, nil,
			[]string{"3 deliveries were duplicates", "4 deliveries came out of order"}, nil},
		{"violations", func(r *Result) { r.Violations.Damaged, r.Violations.Gaps = 2, 1 }, nil,
			[]string{"the server broke its promises: 2 damaged, 1 gaps reported by the server"}, nil},
		{"a slow one", func(r *Result) { r.Latency.P95 = 101 }, []string{"latency.p95<100ms", "latency.p99<250ms"},
			nil, []bool{false, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := good()
			tt.change(r)
			var thresholds []Threshold
			for _, text := range tt.thresholds {
				thresholds = append(thresholds, parsed(t, text))
			}
			Evaluate(r, thresholds)
			if !slices.Equal(r.Failures, tt.failures) {
				t.Errorf("failures\n got %q\nwant %q", r.Failures, tt.failures)
			}
			var met []bool
			for _, o := range r.Thresholds {
				met = append(met, o.Met)
			}
			if !slices.Equal(met, tt.met) {
				t.Errorf("thresholds met %v, want %v", met, tt.met)
			}
		})
	}
}

func brokenOnce(r *Result) {
	r.Connections.Broken, r.Connections.Resumed, r.Offline = 1000, 1000, Times{Count: 1000, Max: 1900}
}

func lossy(r *Result) {
	r.Messages.Received, r.Messages.Lost, r.Violations.Holes, r.SuccessPercent = 99_950, 50, 50, 99.95
}
