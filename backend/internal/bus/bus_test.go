package bus

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	oneSecret   = "one-secret-of-at-least-32-bytes-0123456789"
	otherSecret = "another-secret-of-at-least-32-bytes-01234"
)

// What another key signed, what was changed, moved to another subject or kind, repeated or kept for
// later is refused, each by its reason.
func TestOnlyWhatAnInstanceSaidJustNowIsBelieved(t *testing.T) {
	change := func(old, text string) func(string) string {
		return func(sealed string) string { return strings.Replace(sealed, old, text, 1) }
	}
	keep := func(sealed string) string { return sealed }
	for _, tt := range []struct {
		name    string
		secrets []string // of the one who signs
		kind    Kind     // at which it is opened
		subject string
		wait    time.Duration
		twice   bool
		change  func(string) string
		want    error
	}{
		{"as it was said", []string{oneSecret}, Question, "s", 0, false, keep, nil},
		{"with the old key of a rotation", []string{otherSecret}, Question, "s", 0, false, keep, nil},
		{"with a strange key", []string{strings.Repeat("x", 32)}, Question, "s", 0, false, keep, Forged},
		{"without a key", nil, Question, "s", 0, false, keep, Unsigned},
		{"another payload", []string{oneSecret}, Question, "s", 0, false, change("disconnect anna", "disconnect bert"), Forged},
		{"another subject", []string{oneSecret}, Question, "t", 0, false, keep, Forged},
		{"another kind", []string{oneSecret}, Answer, "s", 0, false, keep, Forged},
		{"another publisher", []string{oneSecret}, Question, "s", 0, false, change("s1:", "s1:A"), Forged},
		{"no MAC", []string{oneSecret}, Question, "s", 0, false, change(".", " "), Malformed},
		{"repeated", []string{oneSecret}, Question, "s", 0, true, keep, Replayed},
		{"an announcement is read by many", []string{oneSecret}, Announcement, "s", 0, true, keep, nil},
		{"kept for later", []string{oneSecret}, Question, "s", Validity + time.Second, false, keep, Expired},
		{"an announcement kept for later", []string{oneSecret}, Announcement, "s", Validity + time.Second, false, keep, Expired},
		{"too large", []string{oneSecret}, Question, "s", 0, false, func(s string) string { return s + strings.Repeat(" ", 1000) }, Malformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reader := New([]string{oneSecret, otherSecret})
				kind := Question
				if tt.kind == Announcement {
					kind = Announcement
				}
				sealed := tt.change(New(tt.secrets).Seal(kind, "s", "disconnect anna"))
				time.Sleep(tt.wait)
				payload, err := reader.Open(tt.kind, tt.subject, sealed, 100)
				if tt.twice {
					_, err = reader.Open(tt.kind, tt.subject, sealed, 100)
				}
				if !errors.Is(err, tt.want) || err == nil && payload != "disconnect anna" {
					t.Errorf("got %q, %v; want %v", payload, err, tt.want)
				}
			})
		})
	}
}

// A process that has just begun does not know what was said before it, so that a restart does not
// make a command valid again.
func TestWhatWasSaidBeforeTheStartIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sealed := New([]string{oneSecret}).Seal(Question, "s", "ban")
		time.Sleep(time.Second)
		if _, err := New([]string{oneSecret}).Open(Question, "s", sealed, 100); !errors.Is(err, Replayed) {
			t.Errorf("got %v", err)
		}
	})
}

// Without a key everything is believed, signed or not: instances get their keys one after the
// other.
func TestWithoutAKeyEverythingIsBelieved(t *testing.T) {
	for _, sealed := range []string{"x", New([]string{oneSecret}).Seal(Question, "s", "x")} {
		if payload, err := New(nil).Open(Question, "s", sealed, 100); payload != "x" || err != nil {
			t.Errorf("%q is opened as %q, %v", sealed, payload, err)
		}
	}
}

// Each number is accepted once, in any order within the window.
func TestNumbersAreAcceptedOnce(t *testing.T) {
	w := new(window)
	for i, step := range []struct {
		n    uint64
		want bool
	}{
		{1, true}, {1, false}, {3, true}, {2, true}, {2, false}, {3, false}, {70, true}, {64, true}, {64, false},
		{replayWindow + 3, true}, {3, false}, {4, true}, {70, false}, {71, true},
		{5 * replayWindow, true}, {70, false}, {4*replayWindow + 1, true}, {4 * replayWindow, false}, {5*replayWindow - 1, true},
	} {
		if got := w.add(step.n); got != step.want {
			t.Errorf("step %d: %d is new: %v, want %v", i, step.n, got, step.want)
		}
	}
}

// The windows of instances that are gone are given up.
func TestPublishersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := New([]string{oneSecret})
		for range 3 * maxPublishers {
			if _, err := reader.Open(Question, "s", New([]string{oneSecret}).Seal(Question, "s", "x"), 100); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := len(reader.windows); n > int(3*Validity/time.Second) {
			t.Errorf("%d are remembered", n)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	s, payload := New([]string{oneSecret}), strings.Repeat("x", 128)
	b.ReportAllocs()
	for b.Loop() {
		s.Sign(Message, "zone:warehouse-1:zone-a", "ZONE_UPDATE", "0", "", payload)
	}
}

func BenchmarkOpen(b *testing.B) {
	s, payload := New([]string{oneSecret}), strings.Repeat("x", 128)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		signature := s.Sign(Message, "zone:warehouse-1:zone-a", "ZONE_UPDATE", "0", "", payload)
		b.StartTimer()
		if err := s.Verify(signature, Message, "zone:warehouse-1:zone-a", "ZONE_UPDATE", "0", "", payload); err != nil {
			b.Fatal(err)
		}
	}
}
