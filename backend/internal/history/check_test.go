package history_test

import (
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/history"
)

// Each promise that is broken is found, by the rule of its name, and one that is kept is not.
func TestEachBrokenPromiseIsFound(t *testing.T) {
	const (
		joined = `{"kind":"join","who":"c","room":"warehouse:w","offset":"e-0"}`
		one    = `{"kind":"event","who":"c","room":"warehouse:w","offset":"e-1","event":"E","hash":"1"}`
		two    = `{"kind":"event","who":"c","room":"warehouse:w","offset":"e-2","event":"E","hash":"2"}`
		three  = `{"kind":"event","who":"c","room":"warehouse:w","offset":"e-3","event":"E","hash":"3"}`
		lost   = `{"kind":"lost"}`
		fork   = `{"kind":"gap","who":"c","room":"warehouse:w","from":"e-1","to":"f-1"}`
		ok     = `{"kind":"publish","who":"p","room":"warehouse:w","event":"E","hash":"1","key":"k","outcome":"ok","offset":"e-1"}`
		newest = `{"kind":"newest","room":"warehouse:w","offset":"e-1"}`
	)
	for _, test := range []struct {
		name string
		give []string
		want string // the rule; empty for none
	}{
		{"all is well", []string{joined, ok, one, two, three}, ""},
		{"a hole", []string{joined, one, three}, "silent hole"},
		{"out of order", []string{joined, one, two, one}, "duplicate"},
		{"again after a resume", []string{joined, one, `{"kind":"resume","who":"c","room":"warehouse:w","offset":"e-1"}`, one}, "duplicate"},
		{"a resume goes on", []string{joined, one, `{"kind":"resume","who":"c","room":"warehouse:w","offset":"e-1"}`, two}, ""},
		{"a cursor that is ahead", []string{joined, one, `{"kind":"resume","who":"c","room":"warehouse:w","offset":"e-2"}`, three}, "cursor"},
		{"an event of a room that was left", []string{joined, `{"kind":"leave","who":"c","room":"warehouse:w"}`, one}, "member"},
		{"other bytes for another client", []string{joined, one, `{"kind":"join","who":"d","room":"warehouse:w","offset":"e-0"}`,
			`{"kind":"event","who":"d","room":"warehouse:w","offset":"e-1","event":"E","hash":"x"}`}, "same bytes"},
		{"other bytes than were published", []string{joined, `{"kind":"event","who":"c","room":"warehouse:w","offset":"e-1","event":"E","hash":"x"}`, ok}, "same bytes"},
		{"a new epoch for no reason", []string{joined, one, fork}, "gap"},
		{"a new epoch after a loss", []string{joined, one, lost, fork}, ""},
		{"a gap that begins elsewhere", []string{joined, one, lost, `{"kind":"gap","who":"c","room":"warehouse:w","from":"e-0","to":"f-1"}`}, "gap"},
		{"a gap of what is kept", []string{joined, one, `{"kind":"gap","who":"c","room":"warehouse:w","from":"e-1","to":"e-2"}`}, "gap"},
		{"a gap of what expired", []string{joined, one, `{"kind":"gap","who":"c","room":"warehouse:w","from":"e-1","to":"e-2"}`,
			`{"kind":"publish","who":"p","room":"warehouse:w","event":"E","hash":"12","outcome":"ok","offset":"e-12"}`}, ""},
		{"a gap of nothing", []string{joined, one, lost, `{"kind":"gap","who":"c","room":"warehouse:w","from":"e-1","to":"e-1"}`}, "gap"},
		{"a fall back for no reason", []string{joined, one, two, `{"kind":"gap","who":"c","room":"warehouse:w","from":"e-2","to":"e-1"}`}, "gap"},
		{"a key that counts twice", []string{ok, strings.Replace(ok, "e-1", "e-2", 1)}, "once"},
		{"a message that comes twice", []string{joined, one, strings.Replace(one, "e-1", "e-2", 1)}, "once"},
		{"one that hears nothing", []string{joined, ok, newest}, "liveness"},
		{"all hear everything", []string{joined, ok, one, newest}, ""},
		{"one that was accepted and is gone", []string{ok, strings.Replace(newest, "e-1", "e-0", 1)}, "accepted"},
		{"a reader that is closed as slow", []string{`{"kind":"closed","who":"c","code":4408,"reading":true}`}, "slow"},
		{"a sleeper that is closed as slow", []string{`{"kind":"closed","who":"c","code":4408}`}, ""},
		{"conflated with what follows", []string{joined, `{"kind":"publish","room":"warehouse:w","hash":"1","event":"E","conflate":"n","outcome":"ok","offset":"e-1"}`,
			`{"kind":"publish","room":"warehouse:w","hash":"2","event":"E","conflate":"n","outcome":"ok","offset":"e-2"}`,
			`{"kind":"conflated","who":"c","room":"warehouse:w","from":"e-0","to":"e-1"}`, two}, ""},
		{"conflated with nothing", []string{joined, `{"kind":"publish","room":"warehouse:w","hash":"1","event":"E","conflate":"n","outcome":"ok","offset":"e-1"}`,
			`{"kind":"conflated","who":"c","room":"warehouse:w","from":"e-0","to":"e-1"}`, two}, "conflated"},
		{"a retained event that is missing", []string{strings.Replace(ok, `"key":"k"`, `"retain":true`, 1),
			`{"kind":"join","who":"c","room":"warehouse:w","offset":"e-1"}`, newest}, "retained"},
		{"a retained event", []string{strings.Replace(ok, `"key":"k"`, `"retain":true`, 1), `{"kind":"join","who":"c","room":"warehouse:w","offset":"e-1"}`,
			`{"kind":"retained","who":"c","room":"warehouse:w","offset":"e-1","event":"E","hash":"1"}`, newest}, ""},
		{"an offset that is none", []string{`{"kind":"join","who":"c","room":"warehouse:w","offset":"7"}`}, "protocol"},
	} {
		t.Run(test.name, func(t *testing.T) {
			records, err := history.Read(strings.NewReader(strings.Join(test.give, "\n")))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			found := history.Check(records, history.Limits{Messages: 10})
			if len(found) > 0 {
				got = found[0].Rule
			}
			if got != test.want || len(found) > 1 {
				t.Errorf("found %v, want %q", found, test.want)
			}
		})
	}
}

func TestWhatIsNoHistoryIsRefused(t *testing.T) {
	for _, test := range []struct{ give, want string }{
		{"", "the history is empty"},
		{"{\"kind\":\"join\"}\n\n", "line 2 is empty"},
		{"hello", "line 1 is not a record"},
		{`{"kind":"jion"}`, `line 1: there is no kind "jion"`},
		{`{"kind":"join","client":"c"}`, `unknown field "client"`},
	} {
		if _, err := history.Read(strings.NewReader(test.give)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.give, err, test.want)
		}
	}
}
