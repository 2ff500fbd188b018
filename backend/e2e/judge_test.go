package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/zonecast/zonecast/backend/internal/history"
	"github.com/zonecast/zonecast/backend/internal/stack"
)

// keeps fails the test for each promise that the records break. The rooms keep everything: a gap is
// true only when Redis has lost something.
func keeps(t *testing.T, records []history.Record) (broken int) {
	t.Helper()
	found := history.Check(records, history.Limits{})
	for _, v := range found {
		t.Error(v)
		for _, line := range v.Lines {
			t.Logf("  line %d: %+v", line, records[line-1])
		}
	}
	return len(found)
}

// bounds records what waits for an instance's clients: each may have 1 MiB.
func bounds(t *testing.T, i *stack.Server, saw *history.Recorder) {
	t.Helper()
	saw.Add(history.Record{Kind: history.Bound, Who: i.URL, Event: "zonecast_outbox_bytes",
		Value: int64(metric(t, i.URL, "zonecast_outbox_bytes")), Most: int64(metric(t, i.URL, "zonecast_connections")) << 20})
}

// A summary is what the records of a fault add up to.
type summary struct {
	sent, received, gaps, broken int
	outage                       time.Duration // the longest time in which a client was sent nothing
}

func summarize(records []history.Record) (s summary) {
	last := map[string]int64{} // by client
	for _, r := range records {
		switch r.Kind {
		case history.Publish:
			s.sent++
		case history.Gap:
			s.gaps++
		case history.Event:
			s.received++
			if last[r.Who] > 0 {
				s.outage = max(s.outage, time.Duration(r.At-last[r.Who])*time.Millisecond)
			}
			last[r.Who] = r.At
		}
	}
	return s
}

// report prints what happened, a line a fault.
func report(t *testing.T, results map[string]summary) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "fault\taccepted\treceived\tgaps told\tbroken promises\tlongest outage\t")
	for _, f := range faults {
		if r, ok := results[f.name]; ok {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%v\t\n", f.name, r.sent, r.received, r.gaps, r.broken, r.outage.Round(10*time.Millisecond))
		}
	}
	w.Flush()
	t.Logf("\n%s", text.String())
}

// The judge sees it when one client of many did not get one message: else what it says of a fault
// would mean nothing.
func missesOne(t *testing.T, records []history.Record) {
	t.Helper()
	var of history.Record
	for _, r := range records {
		if r.Kind == history.Event {
			of = r
			break
		}
	}
	gone := slices.IndexFunc(records, func(r history.Record) bool {
		return r.Kind == history.Event && r.Who == of.Who && r.Room == of.Room && r.Offset != of.Offset
	})
	found := history.Check(slices.Delete(slices.Clone(records), gone, gone+1), history.Limits{})
	if len(found) == 0 || found[0].Rule != "silent hole" {
		t.Errorf("without %+v there is %v, want a silent hole", records[gone], found)
	}
}
