package history_test

import (
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/history"
)

// Each promise that is broken is found, by the rule of its name, with what came and what was
// wanted; one that is kept is not.
func TestEachBrokenPromiseIsFound(t *testing.T) {
	const room = `"room":"warehouse:w"`
	seen := func(who, kind, at, hash string) string {
		return `{"kind":"` + kind + `","who":"` + who + `",` + room + `,"offset":"` + at + `","event":"E","hash":"` + hash + `"}`
	}
	event := func(at, hash string) string { return seen("c", "event", at, hash) }
	stands := func(who, kind, at string) string {
		return `{"kind":"` + kind + `","who":"` + who + `",` + room + `,"offset":"` + at + `"}`
	}
	span := func(kind, from, to string) string {
		return `{"kind":"` + kind + `","who":"c",` + room + `,"from":"` + from + `","to":"` + to + `"}`
	}
	accept := func(at, hash, more string) string {
		return `{"kind":"publish","who":"p",` + room + `,"event":"E","hash":"` + hash + `","outcome":"ok","offset":"` + at + `"` + more + `}`
	}
	newest := func(at string) string { return `{"kind":"newest",` + room + `,"offset":"` + at + `"}` }
	joined, one, two, three, lost := stands("c", "join", "e-0"), event("e-1", "1"), event("e-2", "2"), event("e-3", "3"), `{"kind":"lost"}`
	resumed := stands("c", "resume", "e-1")
	for _, test := range []struct {
		name string
		give []string
		want string // how the violation begins; empty for none
	}{
		{"order: all is well", []string{joined, accept("e-1", "1", ""), one, two, three}, ""},
		{"order: back", []string{joined, one, two, one}, "duplicate: c received e-1 of warehouse:w after e-2, want e-3"},
		{"no silent hole", []string{joined, one, three}, "silent hole: c received e-3 of warehouse:w after e-1, want e-2 or a gap"},
		{"no silent hole at the beginning", []string{joined, two}, "silent hole: c received e-2 of warehouse:w after e-0, want e-1 or a gap"},
		{"a resume goes on", []string{joined, one, resumed, two}, ""},
		{"a resume repeats", []string{joined, one, resumed, one}, "duplicate: c received e-1 of warehouse:w after e-1, want e-2"},
		{"a cursor that is ahead", []string{joined, one, stands("c", "resume", "e-2"), three},
			"cursor: the cursor of c in warehouse:w says e-2, want e-1"},
		{"a room that was left", []string{joined, `{"kind":"leave","who":"c",` + room + `}`, one},
			"member: c received e-1 of warehouse:w, want nothing of it before it joins"},

		{"the same bytes for all", []string{joined, one, stands("d", "join", "e-0"), seen("d", "event", "e-1", "1")}, ""},
		{"other bytes for another client", []string{joined, one, stands("d", "join", "e-0"), seen("d", "event", "e-1", "x")},
			"same bytes: e-1 of warehouse:w is E x, want E 1 as before"},
		{"other bytes than were published", []string{joined, event("e-1", "x"), accept("e-1", "1", "")},
			"same bytes: e-1 of warehouse:w is E x, want E 1 as before"},

		{"another epoch after a loss", []string{joined, one, lost, span("gap", "e-1", "f-1")}, ""},
		{"another epoch for no reason", []string{joined, one, span("gap", "e-1", "f-1")},
			"gap: c was told of another epoch of warehouse:w, from e-1 to f-1, want none, for nothing was lost"},
		{"a fall back for no reason", []string{joined, one, two, span("gap", "e-2", "e-1")},
			"gap: c was told that warehouse:w fell back from e-2 to e-1, want none of it, for nothing was lost"},
		{"a gap of what expired", []string{joined, one, span("gap", "e-1", "e-2"), accept("e-12", "12", "")}, ""},
		{"a gap of what is kept", []string{joined, one, span("gap", "e-1", "e-2"), accept("e-11", "11", "")},
			"gap: c was told that what follows e-1 of warehouse:w is gone up to e-2, want the messages, for they are kept"},
		{"a gap that begins too early", []string{joined, one, lost, span("gap", "e-0", "f-1")},
			"gap: c was told a gap of warehouse:w from e-0, want it from e-1, where it is"},
		{"a gap that begins too late", []string{joined, one, lost, span("gap", "e-2", "e-3")},
			"gap: c was told a gap of warehouse:w from e-2, want it from e-1, where it is"},
		{"a gap that ends too early", []string{joined, one, lost, span("gap", "e-1", "e-2"), event("e-4", "4")},
			"silent hole: c received e-4 of warehouse:w after e-2, want e-3 or a gap"},
		{"a gap that ends too late", []string{joined, one, lost, span("gap", "e-1", "e-3"), three},
			"duplicate: c received e-3 of warehouse:w after e-3, want e-4"},
		{"a gap of nothing", []string{joined, one, lost, span("gap", "e-1", "e-1")},
			"gap: c was told a gap of warehouse:w at e-1 in which nothing is missing, want none"},

		{"what was accepted can be read", []string{joined, accept("e-1", "1", ""), one, newest("e-1")}, ""},
		{"what was accepted is gone", []string{accept("e-1", "1", ""), newest("e-0")},
			"accepted: the room warehouse:w is at e-0, want e-1, which was accepted"},
		{"what was accepted is replaced without a word", []string{joined, lost, accept("e-1", "1", ""), event("e-1", "x"), newest("e-1")},
			"accepted: c received x at e-1 of warehouse:w, want 1, which was accepted there, or a gap"},
		{"what was accepted was replaced before the client came", []string{accept("e-1", "x", ""), lost, accept("e-1", "1", ""),
			stands("c", "join", "e-0"), one, newest("e-1")}, ""},
		{"what was accepted is replaced for who was away", []string{joined, one, lost, accept("e-1", "x", ""), resumed, two, newest("e-2")},
			"accepted: c received 1 at e-1 of warehouse:w, want x, which was accepted there, or a gap"},
		{"what was accepted is replaced, and another epoch says so", []string{joined, one, lost, accept("e-1", "x", ""), span("gap", "e-1", "f-2"),
			newest("f-2")}, ""},
		{"what was accepted is replaced, and a gap says so", []string{joined, one, lost, accept("e-1", "x", ""), span("gap", "e-1", "e-0"),
			event("e-1", "x"), newest("e-1")}, ""},

		{"a key counts once", []string{accept("e-1", "1", `,"key":"k"`), accept("e-1", "1", `,"key":"k"`)}, ""},
		{"a key counts twice", []string{accept("e-1", "1", `,"key":"k"`), accept("e-2", "1", `,"key":"k"`)},
			"once: p was told e-2 for the key k, want e-1 as before"},
		{"a key counts twice, for what it was answered with was lost", []string{accept("e-1", "1", `,"key":"k"`), lost,
			accept("f-1", "1", `,"key":"k"`)}, ""},
		{"a key counts twice, for what it was answered with was lost meanwhile", []string{`{"kind":"lost","at":1002}`,
			accept("e-1", "1", `,"key":"k","sent":1001`), accept("f-1", "1", `,"key":"k"`)}, ""},
		{"a key counts twice after a loss", []string{`{"kind":"lost","at":1002}`, accept("e-1", "1", `,"key":"k","sent":1003`),
			accept("f-1", "1", `,"key":"k"`)}, "once: p was told f-1 for the key k, want e-1 as before"},
		{"a message comes twice", []string{joined, one, event("e-2", "1")},
			"once: c received a message of warehouse:w again, at e-2, want it at e-1 alone"},

		{"all hear everything", []string{joined, accept("e-1", "1", ""), one, newest("e-1")}, ""},
		{"one hears nothing", []string{joined, accept("e-1", "1", ""), newest("e-1")}, "liveness: c is at e-0 of warehouse:w at rest, want e-1"},
		{"one of several who say where the room is", []string{joined, one, newest("e-1"), newest("e-0")}, ""},

		{"a sleeper is closed as slow", []string{`{"kind":"closed","who":"c","code":4408}`}, ""},
		{"a reader is closed as slow", []string{`{"kind":"closed","who":"c","code":4408,"reading":true}`},
			"slow: c was closed as slow, want it kept, for it reads"},
		{"a bound is held", []string{`{"kind":"bound","who":"i1","event":"queued bytes","value":10,"most":10}`}, ""},
		{"a bound is not held", []string{`{"kind":"bound","who":"i1","event":"queued bytes","value":11,"most":10}`},
			"bounds: queued bytes of i1 is 11, want at most 10"},

		{"conflated with what follows", []string{joined, accept("e-1", "1", `,"conflate":"n"`), accept("e-2", "2", `,"conflate":"n"`),
			span("conflated", "e-0", "e-1"), two}, ""},
		{"conflated with nothing", []string{joined, accept("e-1", "1", `,"conflate":"n"`), span("conflated", "e-0", "e-1"), two},
			`conflated: e-1 of warehouse:w was conflated away from c, want something newer of "n", and nothing came`},
		{"conflated from elsewhere", []string{stands("c", "join", "e-1"), span("conflated", "e-0", "e-1")},
			"conflated: c was told that e-0 to e-1 of warehouse:w were conflated, want them to follow e-1"},
		{"a retained event", []string{accept("e-1", "1", `,"retain":true`), stands("c", "join", "e-1"), seen("c", "retained", "e-1", "1"), newest("e-1")}, ""},
		{"a retained event that is missing", []string{accept("e-1", "1", `,"retain":true`), stands("c", "join", "e-1"), newest("e-1")},
			`retained: c joined warehouse:w at e-1 and received`},
		{"a retained event of later", []string{joined, seen("c", "retained", "e-1", "1")},
			"retained: c joined warehouse:w and received e-1 as retained, want none beyond e-0"},
		{"a retained event of later, after a resume", []string{joined, one, resumed, seen("c", "retained", "e-2", "2"), two},
			"retained: c joined warehouse:w and received e-2 as retained, want none beyond e-1"},
		{"a retained event of another epoch, which a gap tells", []string{joined, one, lost, resumed, seen("c", "retained", "e-2", "2"),
			span("gap", "e-1", "f-1"), event("f-2", "2")}, ""},
		{"a retained event of later after a loss, of which no gap tells", []string{joined, one, lost, resumed, seen("c", "retained", "e-2", "2"), two},
			"retained: c joined warehouse:w and received e-2 as retained, want none beyond e-1"},
		{"a retained event and the one before it", []string{accept("e-1", "1", `,"retain":true`), accept("e-2", "2", `,"retain":true`),
			stands("c", "join", "e-2"), seen("c", "retained", "e-1", "1"), seen("c", "retained", "e-2", "2")},
			"retained: c joined warehouse:w and received both e-1 and e-2 as the retained E, want the newest alone"},
		{"late", []string{joined, accept("e-1", "1", `,"at":1000`), strings.Replace(one, "{", `{"at":6001,`, 1)},
			"late: c received e-1 of warehouse:w 5001 ms after it was accepted, want it within 5000 ms"},
		{"in time, for who was away", []string{joined, accept("e-1", "1", `,"at":1000`), strings.Replace(stands("c", "resume", "e-0"), "{", `{"at":5000,`, 1),
			strings.Replace(one, "{", `{"at":6001,`, 1)}, ""},
		{"in time, for who was told another epoch", []string{joined, lost, accept("f-1", "1", `,"at":1000`),
			strings.Replace(span("gap", "e-0", "f-0"), "{", `{"at":5000,`, 1), strings.Replace(event("f-1", "1"), "{", `{"at":6001,`, 1)}, ""},
		{"an offset that is none", []string{stands("c", "join", "7")}, `protocol: the offset of a join is "7", want an offset like k3f9-7`},
	} {
		t.Run(test.name, func(t *testing.T) {
			records, err := history.Read(strings.NewReader(strings.Join(test.give, "\n")))
			if err != nil {
				t.Fatal(err)
			}
			found := history.Check(records, history.Limits{Messages: 10, LateMS: 5000})
			switch {
			case test.want == "" && len(found) > 0, test.want != "" && len(found) != 1:
				t.Errorf("found %v, want %q", found, test.want)
			case test.want != "" && !strings.HasPrefix(found[0].Error(), test.want):
				t.Errorf("found %q, want %q", found[0], test.want)
			}
		})
	}
}

// What a recorder keeps, [history.Read] reads.
func TestAHistoryIsReadAsItWasRecorded(t *testing.T) {
	var recorder history.Recorder
	want := history.Record{Kind: history.Bound, At: 7, Who: "i1", Event: "queued bytes", Value: 3, Most: 10}
	recorder.Add(want)
	var text strings.Builder
	if err := history.Write(&text, recorder.Records()); err != nil {
		t.Fatal(err)
	}
	got, err := history.Read(strings.NewReader(text.String()))
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("read %v, %v; want %v", got, err, want)
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
