package backpressure

import (
	"testing"
	"time"
)

// The specification of who waits for whom.
func TestDecide(t *testing.T) {
	const timeout, grace = time.Second, 500 * time.Millisecond
	for _, tt := range []struct {
		name string
		give Sample
		want Verdict
	}{
		{"nobody is there", Sample{}, Open},
		{"nobody is behind", Sample{Members: 1000, Grace: grace}, Open},

		{"the only member is behind", Sample{Members: 1, Behind: 1}, WaitForMany},
		{"all are behind", Sample{Members: 1000, Behind: 1000}, WaitForMany},
		{"a quarter is behind", Sample{Members: 1000, Behind: 250}, WaitForMany},
		{"two of eight are behind", Sample{Members: 8, Behind: 2}, WaitForMany},
		{"the many are waited for without grace", Sample{Members: 4, Behind: 4, Reading: 4}, WaitForMany},
		{"the many have taken nothing, for less than the timeout", Sample{Members: 4, Behind: 4, Stalled: timeout - 1}, WaitForMany},
		{"the many take nothing", Sample{Members: 4, Behind: 4, Stalled: timeout, Grace: grace}, GiveUp},
		{"the server itself is behind, for however long", Sample{Members: 4, Behind: 4, Unwritten: 1, Stalled: time.Hour}, WaitForMany},
		{"the only member takes nothing", Sample{Members: 1, Behind: 1, Stalled: timeout}, GiveUp},

		{"a few are behind and read", Sample{Members: 1000, Behind: 249, Reading: 1, Grace: grace}, WaitForFew},
		{"the server has not come round to one", Sample{Members: 1000, Behind: 1, Unwritten: 1, Grace: grace}, WaitForFew},
		{"one of two is behind and reads", Sample{Members: 2, Behind: 1, Reading: 1, Grace: grace}, WaitForFew},
		{"the few were waited for long enough", Sample{Members: 1000, Behind: 249, Reading: 249, Waiting: true}, Open},
		{"a few are left when the many have caught up", Sample{Members: 1000, Behind: 1, Waiting: true, Grace: grace}, WaitForFew},
		{"one of eight is held up", Sample{Members: 8, Behind: 1, Grace: grace}, WaitForFew},
		{"one of nine is held up", Sample{Members: 9, Behind: 1, Grace: grace}, Open},
		{"an eighth is held up", Sample{Members: 1000, Behind: 125, Grace: grace}, WaitForFew},
		{"fewer than an eighth are held up", Sample{Members: 1000, Behind: 124, Grace: grace}, Open},
		{"one of two takes nothing", Sample{Members: 2, Behind: 1, Stalled: timeout, Grace: grace}, GiveUp},
		{"a few take nothing although publishers wait", Sample{Members: 1000, Behind: 1, Stalled: timeout, Waiting: true, Grace: grace}, GiveUp},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.give.StallTimeout = timeout
			if got := Decide(tt.give); got != tt.want {
				t.Errorf("%+v: got %v, want %v", tt.give, got, tt.want)
			}
		})
	}
}
