package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// open returns a log with a store in memory, and what counts how often a sink took nothing.
func open(t testing.TB, file string) (*audit.Log, *atomic.Int64) {
	t.Helper()
	failures := new(atomic.Int64)
	l, err := audit.Open(audit.Options{Node: "n-1", File: file, Log: slog.New(slog.DiscardHandler),
		OnFailure: func(string) { failures.Add(1) }})
	testkit.Must(t, err)
	l.Use(audit.NewMemory(), nil)
	return l, failures
}

// lines reads the entries of a file.
func lines(t testing.TB, file string) (all []audit.Entry) {
	t.Helper()
	p, err := os.ReadFile(file)
	testkit.Must(t, err)
	for line := range bytes.Lines(p) {
		var e audit.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v in the line %q", err, line)
		}
		all = append(all, e)
	}
	return all
}

func read(t testing.TB, l *audit.Log, q audit.Query) audit.Page {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = audit.MaxPage
	}
	page, err := l.Read(t.Context(), q)
	testkit.Must(t, err)
	return page
}

func TestTheFileIsAppendedToAndForItsOwnerAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	for range 2 { // a restart appends as well
		l, _ := open(t, file)
		l.Record(audit.Entry{Who: "ann\nbob", Action: audit.Ban, Target: strings.Repeat("ü", 5000), Reason: "\xff<script>", Result: audit.Done, Address: "10.0.0.7"})
	}
	info, err := os.Stat(file)
	testkit.Must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	all := lines(t, file)
	if len(all) != 2 {
		t.Fatalf("%d entries", len(all))
	}
	e := all[0]
	if e.Who != "ann\nbob" || e.Action != "ban" || e.Reason != "<script>" || len(e.Target) > 512 || e.Node != "n-1" || time.Since(e.Time) > testkit.Patience {
		t.Errorf("got %+v", e)
	}
}

func TestTheFileIsOpenedAgainWhenItWasRenamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	l, _ := open(t, file)
	l.Record(audit.Entry{Who: "first"})
	testkit.Must(t, os.Rename(file, file+".1"))
	l.Record(audit.Entry{Who: "second"})
	testkit.Must(t, os.Rename(file, file+".2"))
	l.Reopen()
	for name, want := range map[string]int{file: 0, file + ".1": 1, file + ".2": 1} {
		if got := len(lines(t, name)); got != want {
			t.Errorf("%s has %d entries, want %d", filepath.Base(name), got, want)
		}
	}
}

func TestNothingIsPermittedThatCantBeRecorded(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logs")
	testkit.Must(t, os.Mkdir(folder, 0o700))
	file := filepath.Join(folder, "audit.log")
	l, failures := open(t, file)
	testkit.Must(t, l.Ready())
	testkit.Must(t, os.Rename(folder, folder+".away"))
	l.Record(audit.Entry{Who: "under way"})
	if err := l.Ready(); wire.AsError(err).Code != wire.CodeUnavailable || failures.Load() == 0 {
		t.Errorf("without its folder: %v, %d failures counted", err, failures.Load())
	}
	testkit.Must(t, os.Mkdir(folder, 0o700))
	testkit.Must(t, l.Ready())
	if all := lines(t, file); len(all) != 1 || all[0].Who != "under way" {
		t.Errorf("what was under way is not there: %+v", all)
	}
	if _, err := audit.Open(audit.Options{File: folder}); err == nil {
		t.Error("a folder was taken for a file")
	}
}

// However many strangers fail at whatever rate: the file grows by a bounded number of lines a
// minute, the sums are right, and nothing that an operator did is displaced.
func TestStrangersNeitherFillTheFileNorDisplaceOperators(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, file)
		ctx, stop := context.WithCancel(t.Context())
		go l.Run(ctx)
		l.Record(audit.Entry{Who: "ann", Action: audit.Ban, Result: audit.Done})
		const minutes, each = 10, 2000
		for range minutes {
			for i := range each {
				l.Failure(audit.Entry{Who: fmt.Sprint("guess-", i), Action: audit.Login, Address: fmt.Sprint("10.0.0.", i%200)})
				l.Service(audit.Entry{Who: "key billing", Action: audit.DeleteRetained, Result: audit.Done, Address: "10.1.0.1"})
			}
			time.Sleep(time.Minute)
		}
		stop()
		synctest.Wait()
		failed, deleted := 0, 0
		all := lines(t, file)
		for _, e := range all {
			switch e.Action {
			case audit.Login:
				failed += max(1, e.Count)
			case audit.DeleteRetained:
				deleted += max(1, e.Count)
			}
		}
		if failed != minutes*each || deleted != minutes*each {
			t.Errorf("%d failures and %d deletions are recorded, want %d of each", failed, deleted, minutes*each)
		}
		if most := minutes*(2*20+1+61) + 1; len(all) > most {
			t.Errorf("%d lines in %d minutes, want at most %d", len(all), minutes, most)
		}
		if page := read(t, l, audit.Query{Who: "ann"}); len(page.Entries) != 1 {
			t.Errorf("the operator's entry is not listed: %+v", page)
		}
	})
}

func TestPagesHaveEachEntryOnce(t *testing.T) {
	l, _ := open(t, "")
	const n = 700 // more than are read from a list at once
	for i := range n {
		e := audit.Entry{Who: fmt.Sprint("w", i%3), Action: audit.Disconnect, Target: fmt.Sprint(i)}
		if i%2 == 0 {
			l.Record(e)
		} else {
			e.Address = fmt.Sprint(i)
			e.Who = "key " + e.Who
			l.Service(e)
		}
	}
	seen := map[string]int{}
	last := ""
	q := audit.Query{Limit: 37}
	for {
		page := read(t, l, q)
		for _, e := range page.Entries {
			seen[e.Target]++
			if e.ID == last {
				t.Fatalf("%s again", e.ID)
			}
			last = e.ID
		}
		if page.Next == "" {
			break
		}
		q.Before = page.Next
	}
	if want := n/2 + 20; len(seen) != want { // of the others 20 callers are told apart
		t.Errorf("%d entries, want %d", len(seen), want)
	}
	for target, times := range seen {
		if times != 1 {
			t.Errorf("%s came %d times", target, times)
		}
	}
	if page := read(t, l, audit.Query{Who: "w0"}); len(page.Entries) == 0 || page.Entries[0].Target != "696" {
		t.Errorf("of w0: %+v", page.Entries[:1])
	}
	if page := read(t, l, audit.Query{Since: time.Now().Add(time.Hour)}); len(page.Entries) != 0 {
		t.Errorf("since the future: %d", len(page.Entries))
	}
	if page := read(t, l, audit.Query{Action: audit.Ban}); len(page.Entries) != 0 {
		t.Errorf("of an action that there was not: %d", len(page.Entries))
	}
	for _, before := range []string{"x", "1-2", "1-2x", "-1-2o", "1-2o)"} {
		if _, err := l.Read(t.Context(), audit.Query{Before: before, Limit: 1}); wire.AsError(err).Code != wire.CodeInvalidData {
			t.Errorf("before %q: %v", before, err)
		}
	}
}

// A terminal that shows the file does nothing but that.
func TestTheFileHasNoCommandsForTerminals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	l, _ := open(t, file)
	l.Record(audit.Entry{Who: "ann", Action: audit.Ban, Result: audit.Done, Reason: "a\u009b31m\x1b[2J\u202e\x7f\nb"})
	if e := lines(t, file)[0]; e.Reason != "a\uFFFD31m\x1b[2J\uFFFD\uFFFD\nb" {
		t.Errorf("the reason is %q", e.Reason)
	}
}

// An operator who does nothing again and again, or is refused it, displaces nobody's entries.
func TestAnOperatorDisplacesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "audit.log")
		l, _ := open(t, file)
		l.Use(audit.NewMemory(), nil)
		ctx, stop := context.WithCancel(t.Context())
		go l.Run(ctx)
		l.Record(audit.Entry{Who: "ann", Action: audit.Ban, Result: audit.Done})
		for i := range 6000 {
			l.Record(audit.Entry{Who: "bob", Action: audit.Disconnect, Result: audit.Done, Target: fmt.Sprint(i), Address: "10.0.0.1"})
		}
		time.Sleep(2 * time.Minute)
		stop()
		synctest.Wait()
		all, counted := lines(t, file), 0
		for _, e := range all {
			if e.Who == "bob" {
				counted += max(1, e.Count)
			}
		}
		if len(all) != 1+120+1 || counted != 6000 {
			t.Errorf("%d lines count %d changes", len(all), counted)
		}
		if page := read(t, l, audit.Query{Who: "ann"}); len(page.Entries) != 1 {
			t.Errorf("another operator's entry is gone: %+v", page)
		}
	})
}

// away is a store that takes nothing.
type away struct{ audit.Store }

func (away) Append(context.Context, audit.List, []string) error { return context.DeadlineExceeded }

func TestEntriesWaitForTheStore(t *testing.T) {
	l, failures := open(t, "")
	memory := audit.NewMemory()
	l.Use(away{memory}, nil)
	for i := range 1500 {
		l.Record(audit.Entry{Who: fmt.Sprint("operator-", i%100), Target: fmt.Sprint(i)})
	}
	if page := read(t, l, audit.Query{}); len(page.Entries) != 0 || failures.Load() < 500 {
		t.Errorf("%d entries, %d failures", len(page.Entries), failures.Load())
	}
	l.Use(memory, nil)
	if page := read(t, l, audit.Query{}); len(page.Entries) != 1000 || page.Entries[0].Target != "999" {
		t.Errorf("%d entries after the store came back", len(page.Entries))
	}
}
