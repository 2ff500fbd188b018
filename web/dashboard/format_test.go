package dashboard

import (
	"testing"
	"time"
)

func TestGrouped(t *testing.T) {
	for give, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 12470: "12,470", 1000000: "1,000,000", 1002003: "1,002,003", -1234: "-1,234",
	} {
		if got := grouped(give); got != want {
			t.Errorf("grouped(%d) = %q, want %q", give, got, want)
		}
	}
}

func TestPerSecond(t *testing.T) {
	for _, tt := range []struct {
		give rate
		want string
	}{
		{rate{}, "–"},
		{rate{0, true}, "0"},
		{rate{0.04, true}, "0.0"},
		{rate{3.14, true}, "3.1"},
		{rate{99.94, true}, "99.9"},
		{rate{99.96, true}, "100"},
		{rate{48120.4, true}, "48,120"},
	} {
		if got := perSecond(tt.give); got != tt.want {
			t.Errorf("perSecond(%v) = %q, want %q", tt.give, got, tt.want)
		}
	}
}

func TestLatencyText(t *testing.T) {
	for _, tt := range []struct {
		give percentile
		want string
	}{
		{percentile{}, "–"},
		{percentile{Known: true, Latency: 420 * time.Microsecond}, "0.42 ms"},
		{percentile{Known: true, Latency: 3440 * time.Microsecond}, "3.4 ms"},
		{percentile{Known: true, Latency: 34 * time.Millisecond}, "34 ms"},
		{percentile{Known: true, Latency: 999600 * time.Microsecond}, "1.0 s"},
		{percentile{Known: true, Latency: 10 * time.Second, Above: true}, "> 10.0 s"},
	} {
		if got := latencyText(tt.give); got != tt.want {
			t.Errorf("latencyText(%v) = %q, want %q", tt.give, got, tt.want)
		}
	}
}

func TestSize(t *testing.T) {
	for give, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 12 << 10: "12 KiB", 1 << 20: "1.0 MiB", 1<<20 - 1: "1.0 MiB",
		5 << 30: "5.0 GiB", 3 << 50: "3072 TiB",
	} {
		if got := size(give); got != want {
			t.Errorf("size(%d) = %q, want %q", give, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for give, want := range map[time.Duration]string{
		-time.Second:                          "0 s",
		42 * time.Second:                      "42 s",
		200 * time.Second:                     "3 min 20 s",
		5*time.Hour + 12*time.Minute:          "5 h 12 min",
		76*time.Hour + 59*time.Minute:         "3 d 4 h",
		400*24*time.Hour + 30*24*time.Hour/10: "403 d 0 h",
	} {
		if got := span(give); got != want {
			t.Errorf("span(%v) = %q, want %q", give, got, want)
		}
	}
}
