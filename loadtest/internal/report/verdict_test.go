package report

import (
	"bytes"
	"strings"
	"testing"
)

// One word says how the run went, the same as the exit code.
func TestTheVerdictIsOneWord(t *testing.T) {
	fast, err := ParseThreshold("latency.p95<1ms")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		want  string
		spoil func(r *Result)
		limit []Threshold
	}{
		{Passed, func(*Result) {}, nil},
		{Missed, func(*Result) {}, []Threshold{fast}},
		{Failed, func(r *Result) { r.Messages.Lost, r.Messages.Received = 1, r.Messages.Expected-1 }, []Threshold{fast}},
		{Invalid, func(r *Result) { r.Invalid, r.Stopped = "the load tester was slow", "interrupted" }, nil},
	} {
		r := good()
		tt.spoil(r)
		Evaluate(r, tt.limit)
		var text bytes.Buffer
		if err := r.WriteJSON(&text); err != nil || r.Verdict != tt.want || !strings.Contains(text.String(), `"verdict": "`+tt.want+`"`) {
			t.Errorf("the verdict is %q, want %q (%v)", r.Verdict, tt.want, err)
		}
	}
}

// The page says how many were connected at the end, not how many ever were.
func TestThePageSaysWhoWasThereAtTheEnd(t *testing.T) {
	var b bytes.Buffer
	if err := bad().WriteHTML(&b); err != nil || !strings.Contains(b.String(), "<b>0</b><span>of 1,000 connected at the end</span>") {
		t.Errorf("it does not say that all were lost: %v", err)
	}
}

// Parsers of other load testers' reports find the totals under these names.
func TestTotalsHaveTheNamesThatParsersKnow(t *testing.T) {
	var b bytes.Buffer
	if err := good().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nMessages Sent: 6000\n", "\nMessages Received: 6000000\n", "\nConcurrent Connections: 1000\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, &b)
		}
	}
}
