package dashboard

import (
	"fmt"
	"strconv"
	"time"
)

// grouped writes a whole number with a comma before each three digits: 12,470.
func grouped(n int64) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return grouped(n/1000) + fmt.Sprintf(",%03d", n%1000)
}

// perSecond writes a rate with about three digits: 0.4, 41.2, 412, 48,120; a dash when it is not
// known.
func perSecond(r rate) string {
	switch {
	case !r.Known:
		return "–"
	case r.PerSecond == 0:
		return "0"
	case r.PerSecond < 99.95:
		return strconv.FormatFloat(r.PerSecond, 'f', 1, 64)
	}
	return grouped(int64(r.PerSecond + 0.5))
}

// latency writes a percentile and its unit apart, so that the page can set the unit smaller.
func latency(p percentile) (value, unit string) {
	if !p.Known {
		return "–", ""
	}
	ms := float64(p.Latency) / float64(time.Millisecond)
	switch {
	case ms < 0.995:
		value, unit = strconv.FormatFloat(ms, 'f', 2, 64), "ms"
	case ms < 9.95:
		value, unit = strconv.FormatFloat(ms, 'f', 1, 64), "ms"
	case ms < 999.5:
		value, unit = strconv.FormatFloat(ms, 'f', 0, 64), "ms"
	default:
		value, unit = strconv.FormatFloat(ms/1000, 'f', 1, 64), "s"
	}
	if p.Above {
		value = "> " + value
	}
	return value, unit
}

// latencyText is value and unit in one.
func latencyText(p percentile) string {
	value, unit := latency(p)
	if unit == "" {
		return value
	}
	return value + " " + unit
}

// size writes bytes in the binary unit that keeps it short.
func size(bytes int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	if bytes < 1024 {
		return strconv.FormatInt(bytes, 10) + " B"
	}
	v := float64(bytes)
	for i, unit := range units {
		v /= 1024
		if v < 1023.5 || i == len(units)-1 {
			if v < 9.95 {
				return strconv.FormatFloat(v, 'f', 1, 64) + " " + unit
			}
			return strconv.FormatFloat(v, 'f', 0, 64) + " " + unit
		}
	}
	return ""
}

// span writes a time span in its two largest units: 42 s, 3 min 20 s, 5 h 12 min, 3 d 4 h.
func span(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
}

// clock writes the time of day with the zone that it is in: the reader may sit in another one.
func clock(t time.Time) string { return t.Format("15:04:05 MST") }

// plural writes "1 zone", "1,204 zones".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(int64(n)) + " " + one + "s"
}
