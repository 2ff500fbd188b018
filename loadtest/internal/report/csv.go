package report

import (
	"encoding/csv"
	"io"
	"strconv"
)

// WriteCSV writes a line for each second of the run.
func (r *Result) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"second", "phase", "connected", "sent", "received", "errors", "p50_ms", "p99_ms", "max_ms", "lag_p99_ms",
		"loadtest_cpu_percent"}) // an error stays until the end
	n := func(n uint64) string { return strconv.FormatUint(n, 10) }
	f := func(f float64) string { return strconv.FormatFloat(f, 'f', 3, 64) }
	for _, s := range r.Seconds {
		measured := func(ms float64) string { // nothing for nothing, which is no latency of 0
			if s.Max == 0 {
				return ""
			}
			return f(ms)
		}
		_ = out.Write([]string{f(s.At), s.Phase, n(uint64(s.Connected)), n(s.Sent), n(s.Received), n(s.Errors),
			measured(s.P50), measured(s.P99), measured(s.Max), f(s.LagP99), f(s.CPU)})
	}
	out.Flush()
	return out.Error()
}
