package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/failure"
)

var update = flag.Bool("update", false, "write the golden files anew")

func someSettings() Settings {
	return Settings{
		Scenario: "fanout", WSURLs: []string{"ws://127.0.0.1:3001/ws", "ws://127.0.0.1:3002/ws"},
		PublishURLs: []string{"http://127.0.0.1:3001"}, Room: "zone:warehouse-1:zone-a",
		Connections: 1000, MsgPerSec: 100, DurationMs: 60_000, PayloadBytes: 128, Publishers: 16, ConnectRate: 500, SettleMs: 5000, ReconnectMs: 10_000,
	}
}

func latencies() Times {
	return Times{Count: 6_000_000, Min: 0.412, Avg: 2.3, Max: 18.25, P50: 2.1, P95: 4.875, P99: 7.5, P99_9: 12.04}
}

func good() *Result {
	return &Result{
		Schema: Schema, Settings: someSettings(), StartedAt: time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC), DurationMs: 60_004.2,
		Connections:    Connections{Asked: 1000, Joined: 1000},
		Messages:       Messages{Scheduled: 6000, Sent: 6000, Expected: 6_000_000, Received: 6_000_000},
		Throughput:     Throughput{Sent: 99.993, Received: 99_993},
		SuccessPercent: 100, Latency: latencies(), Connect: Times{Count: 1000, Min: 0.5, Avg: 1, Max: 30, P50: 0.9, P95: 2, P99: 9, P99_9: 29},
		Publish:   Times{Count: 6000, Min: 0.3, Avg: 0.6, Max: 9, P50: 0.5, P95: 1, P99: 2, P99_9: 8},
		Lag:       Times{Count: 6000, Min: 0.01, Avg: 0.1, Max: 3, P50: 0.1, P95: 0.2, P99: 0.9, P99_9: 2.5},
		Generator: Generator{CPUSeconds: 14.2, CPUPercent: 23.4, PeakMemoryBytes: 47 << 20},
		ErrorsBy:  []failure.Count{},
		Thresholds: []Outcome{
			{Threshold: "latency.p95<100ms", Measured: "4.88 ms", Met: true},
			{Threshold: "delivered>=99.9%", Measured: "100 %", Met: true},
		},
		Failures: []string{},
	}
}

func bad() *Result {
	return &Result{
		Schema: Schema, Settings: someSettings(), StartedAt: time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC), DurationMs: 12_340,
		Stopped:     "all connections were lost",
		Connections: Connections{Asked: 1000, Joined: 998, Broken: 1998, Resumed: 1000, Lost: 998},
		Messages: Messages{
			Scheduled: 1235, Sent: 1230, Failed: 3, NotSent: 2, Late: 17, Expected: 1_227_540, Received: 1_227_539, Lost: 1,
			Duplicated: 4, Reordered: 5, Unconfirmed: 998, Foreign: 2000,
		},
		Violations: Violations{Holes: 1, Reused: 2, Restarted: 3, Damaged: 4, Misrouted: 5, Unreadable: 6, Gaps: 7},
		Throughput: Throughput{Sent: 99.675, Received: 99_476.4}, SuccessPercent: 99.99991,
		Offline: Times{Count: 1000, Min: 101, Avg: 640, Max: 1900, P50: 610, P95: 1700, P99: 1850, P99_9: 1900},
		Latency: Times{Count: 1_227_539, Min: 0.9, Avg: 55.5, Max: 12_345, P50: 33.3, P95: 444.4, P99: 5555, P99_9: 12_000},
		Errors:  1003,
		ErrorsBy: []failure.Count{
			{Kind: "connection: closed with 1012 restart", Count: 998, First: "the server closed with 1012 restart"},
			{Kind: "send: HTTP 503", Count: 3, First: "the server answered HTTP 503 Service Unavailable: the broker is away"},
			{Kind: "connect: timeout", Count: 2, First: "dial tcp 127.0.0.1:3001: i/o timeout"},
		},
		Thresholds: []Outcome{{Threshold: "latency.p95<100ms", Measured: "444 ms"}},
		Failures:   []string{"the run ended early: all connections were lost"},
	}
}

// nothing is the result of a run in which nobody could connect.
func nothing() *Result {
	s := someSettings()
	s.Scenario, s.PublishURLs, s.MsgPerSec, s.DurationMs = "echo", nil, 0.5, 1500
	return &Result{
		Schema: Schema, Settings: s, Stopped: "no member could connect", Connections: Connections{Asked: 1000}, Errors: 1,
		ErrorsBy: []failure.Count{{Kind: "connect: timeout", Count: 1, First: "i/o timeout"}},
		Failures: []string{"the run ended early: no member could connect"},
	}
}

func TestTextGolden(t *testing.T) {
	for name, give := range map[string]*Result{"good": good(), "bad": bad(), "nothing": nothing()} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			if err := give.WriteText(&got); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", got.Bytes())
		})
	}
}

// Several warehouses and several rooms have a table each; one alone has none.
func TestTextByPlace(t *testing.T) {
	r := good()
	for w := range 12 {
		place := Room{Name: fmt.Sprintf("warehouse-%d", w+1), Members: 1000, Expected: 4000, Received: 3999, Latency: latencies()}
		r.Warehouses = append(r.Warehouses, place)
	}
	r.Rooms = []Room{{Name: "zone:warehouse-1:zone-a", Members: 5, Expected: 10, Received: 10, Latency: latencies()}}
	var got bytes.Buffer
	if err := r.WriteText(&got); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  warehouse    ", "warehouse-10                           1,000        3,999   99.975 %    4.88 ms    7.50 ms", "… and 2 more"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, got.String())
		}
	}
	if strings.Contains(got.String(), "warehouse-11") || strings.Contains(got.String(), "zone-a  ") {
		t.Errorf("too much:\n%s", got.String())
	}
}

func TestJSONGolden(t *testing.T) {
	var got bytes.Buffer
	if err := good().WriteJSON(&got); err != nil {
		t.Fatal(err)
	}
	golden(t, "good.json", got.Bytes())
	var back Result
	if err := json.Unmarshal(got.Bytes(), &back); err != nil || !reflect.DeepEqual(&back, good()) {
		t.Errorf("read back: %v\n got %+v\nwant %+v", err, back, good())
	}
}

// golden compares with a file; go test -update writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs\n got:\n%s\nwant:\n%s", name, got, want)
	}
}

func seconds(r *Result) *Result {
	for i := range 4 {
		phase := "run"
		if i == 0 {
			phase = "connect"
		}
		r.Seconds = append(r.Seconds, Second{At: float64(i + 1), Phase: phase, Connected: 1000, Sent: 100, Received: 100_000, P50: 2, P99: 7.5, Max: 18,
			LagP99: 0.9, CPU: 23})
	}
	return r
}

func TestCSV(t *testing.T) {
	var got bytes.Buffer
	r := seconds(good())
	r.Seconds = append(r.Seconds, Second{At: 5, Phase: "settle", Connected: 1000})
	if err := r.WriteCSV(&got); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(got.String()), "\n")
	if len(lines) != 6 || lines[5] != "5.000,settle,1000,0,0,0,,,,0.000,0.000" || lines[4] != "4.000,run,1000,100,100000,0,2.000,7.500,18.000,0.900,23.000" {
		t.Errorf("%s", got.String())
	}
}

// The page has everything in itself, and nothing in it is taken for markup.
func TestHTML(t *testing.T) {
	r := seconds(bad())
	r.Settings.Name = "<script>alert(1)</script>"
	r.Ramp = []RampStep{{MsgPerSec: 500, Held: true}}
	r.Slow = &Slow{Members: 3}
	r.Rooms = []Room{{Name: "zone:w:a", Members: 1}, {Name: "zone:w:b"}}
	r.Warehouses = r.Rooms
	r.Servers = []Server{{Name: "127.0.0.1:3001", MemoryIdle: 20 << 20, CPUSeconds: 1}}
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{"FAILED", "all connections were lost", "<path class", "By warehouse", "zone:w:b", "Ramp", "20 MiB", "closed with 1012 restart", "5.55 s"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, never := range []string{"<script>alert", "http://www", "https://", "src=", "@import", "ZgotmplZ", "NaN"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q in it", never)
		}
	}
	if n, m := strings.Count(page, "<svg"), strings.Count(page, "</svg>"); n != 4 || m != 4 {
		t.Errorf("%d charts", n)
	}
	_, raw, _ := strings.Cut(page, `id="result">`)
	raw, _, _ = strings.Cut(raw, "</script>")
	var back Result
	if err := json.Unmarshal([]byte(raw), &back); err != nil || back.Settings.Name != r.Settings.Name || back.Messages != r.Messages {
		t.Errorf("the figures in the page: %v", err)
	}
	var empty bytes.Buffer
	if err := nothing().WriteHTML(&empty); err != nil || !strings.Contains(empty.String(), "FAILED") {
		t.Errorf("a page of a run without figures: %v", err)
	}
}

func TestScales(t *testing.T) {
	for give, want := range map[float64]float64{0: 1, 1: 1, 1.1: 1.2, 9: 10, 95: 100, 101: 120, 2047: 2400} {
		if got := roundUp(give); got != want {
			t.Errorf("nice(%v) = %v, want %v", give, got, want)
		}
	}
	s := logScale(2000)
	if s.part(0) != 0 || s.part(0.1) != 0 || s.part(10_000) != 1 || len(s.ticks) != 6 {
		t.Errorf("%v, %v, %v", s.part(0), s.part(10_000), s.ticks)
	}
}

func TestFigures(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{Thousands(0), "0"}, {Thousands(999), "999"}, {Thousands(1000), "1,000"}, {Thousands(12_345_678), "12,345,678"},
		{Share(3, 3), "100 %"}, {Share(999_999, 1_000_000), "99.999 %"}, {Share(9_999_999, 10_000_000), "99.999 %"},
		{Share(0, 3), "0.000 %"}, {Share(0, 0), "nothing to measure"},
		{Ms(0.0004), "0.00 ms"}, {Ms(9.994), "9.99 ms"}, {Ms(12.34), "12.3 ms"}, {Ms(123.4), "123 ms"}, {Ms(1234.5), "1.23 s"},
		{decimal(0.5), "0.5"}, {decimal(100), "100"}, {decimal(99_993.4), "99,993"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

// A second without a delivery leaves a gap in the latencies: it is no latency of 0.
func TestChartsLeaveGapsWhereNothingWasMeasured(t *testing.T) {
	r := Result{Seconds: []Second{{At: 1}, {At: 2, P50: 1, P99: 1, Max: 1}, {At: 3}, {At: 4, P50: 10, P99: 10, Max: 10}, {At: 5, P50: 1, P99: 1, Max: 1}}}
	charts := r.charts()
	path := charts[0].Lines[0].Path
	if strings.Count(path, "M") != 2 || strings.Count(path, "h0") != 2 || strings.Count(path, "L") != 1 {
		t.Errorf("latency: %s", path)
	}
	if path := charts[1].Lines[0].Path; strings.Count(path, "M") != 1 || strings.Count(path, "L") != 4 {
		t.Errorf("deliveries, which were 0: %s", path)
	}
}
