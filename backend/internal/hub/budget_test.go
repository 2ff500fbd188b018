package hub

import (
	"testing"
	"time"
)

func TestABudgetIsNeverOverdrawn(t *testing.T) {
	var b budget
	now := time.Now()
	first := b.take(60, 100, now)
	if first == nil || b.take(41, 100, now) != nil {
		t.Fatal("want room for 60 of 100, and then not for 41")
	}
	second := b.take(40, 100, now)
	if second == nil {
		t.Fatal("want room for what is left exactly")
	}
	first.release()
	first.release() // has no effect
	if b.taken != 40 {
		t.Errorf("%d are taken, want 40", b.taken)
	}
	if b.take(200, 100, now) != nil {
		t.Error("what is larger than the budget went beside something else")
	}
	second.release()
	if b.take(200, 100, now) == nil {
		t.Error("what is larger than the budget never goes")
	}
}

// The room that a share was for may be forgotten meanwhile, with all who would release it.
func TestWhatTheBrokerNeverDeliversIsGivenUp(t *testing.T) {
	var b budget
	now := time.Now()
	lost, late, held := b.take(30, 100, now), b.take(30, 100, now), b.take(30, 100, now)
	lost.accepted(now.Add(time.Second))
	late.accepted(now.Add(2 * time.Second))
	if b.take(30, 100, now.Add(time.Second)) != nil {
		t.Error("given up too early")
	}
	if b.take(30, 100, now.Add(2*time.Second)) == nil {
		t.Error("what is lost is held on to")
	}
	if b.take(30, 100, now.Add(time.Hour)) == nil || b.taken != 90 {
		t.Errorf("%d are taken, want 90: two new ones, and the one that the broker has not accepted yet", b.taken)
	}
	for _, s := range []*share{lost, late, held} {
		s.release()
	}
	if b.taken != 60 || b.late.Len() != 0 {
		t.Errorf("%d are taken and %d wait to be given up, want 60 and none", b.taken, b.late.Len())
	}
}
