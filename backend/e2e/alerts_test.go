package e2e_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// A breakdown is a fault of the runbook's table, and how it ends.
type breakdown struct {
	begin func(t *testing.T, s *site) (end func())
	lasts time.Duration
}

var breakdowns = map[string]breakdown{
	"Redis is gone": {func(t *testing.T, s *site) func() {
		testkit.Must(t, s.Redis.Kill())
		return func() { testkit.Must(t, s.Redis.Start(t.Context())) }
	}, time.Minute},
	"Redis hangs": {func(t *testing.T, s *site) func() { return hang(t, s.Redis.Process) }, time.Minute},
	"Redis is full": {func(t *testing.T, s *site) func() {
		limit := func(bytes string) {
			_, err := s.Redis.Command(t.Context(), "CONFIG SET maxmemory "+bytes)
			testkit.Must(t, err)
		}
		limit("1mb")
		return func() { limit("0") }
	}, 2 * time.Minute},
	"an instance is killed": {func(t *testing.T, s *site) func() {
		testkit.Must(t, s.Instances[0].Kill())
		return func() { testkit.Must(t, s.Instances[0].Start(t.Context())) }
	}, time.Minute},
	"an instance hangs": {func(t *testing.T, s *site) func() { return hang(t, s.Instances[0].Process) }, time.Minute},
	"the proxy is killed and starts again": {func(t *testing.T, s *site) func() {
		testkit.Must(t, s.Nginx.Kill())
		testkit.Must(t, s.Nginx.Start(t.Context()))
		return func() {}
	}, time.Minute},
	"pages of a foreign origin try to connect": {func(t *testing.T, s *site) func() {
		stop := make(chan struct{})
		s.running.Go(func() {
			for {
				_, answer, err := websocket.DefaultDialer.Dial(s.Nginx.WebSocket(), http.Header{"Origin": {"https://elsewhere.example"}})
				if err == nil || answer == nil || answer.StatusCode != http.StatusForbidden {
					t.Errorf("a page of another origin got %v, want 403", err)
				}
				select {
				case <-time.After(100 * time.Millisecond):
				case <-stop:
					return
				}
			}
		})
		return func() { close(stop) }
	}, 4 * time.Minute},
	"a rolling restart": {func(t *testing.T, s *site) func() {
		for _, i := range s.Instances {
			testkit.Must(t, i.Restart(t.Context()))
		}
		return func() {}
	}, time.Minute},
}

func hang(t *testing.T, p *stack.Process) (end func()) {
	t.Helper()
	pid := p.PID()
	testkit.Must(t, syscall.Kill(pid, syscall.SIGSTOP))
	return func() { testkit.Must(t, syscall.Kill(pid, syscall.SIGCONT)) }
}

var slowness = regexp.MustCompile(`Slow$|LatencyBudget`)

// soon is how soon after a fault, and for how long after its end, its alerts fire at most.
const soon = 2 * time.Minute

// Each fault of the runbook's table raises exactly the alerts that the table names, and none stays.
// With -full all of them, in half an hour; else the one that is over first.
func TestFaultsRaiseTheAlertsOfTheRunbook(t *testing.T) {
	rows := faultTable(t)
	if want := slices.Sorted(maps.Keys(breakdowns)); !slices.Equal(slices.Sorted(maps.Keys(rows)), want) {
		t.Fatalf("the table has the faults %q, want %q", slices.Sorted(maps.Keys(rows)), want)
	}
	names, size := []string{"Redis is gone"}, siteSize{clients: 30, zones: 3, rate: 20}
	if *full {
		names, size = slices.Sorted(maps.Keys(breakdowns)), siteSize{clients: 240, zones: 8, rate: 40}
	}
	s := openSite(t, stack.Options{Instances: 3, Prometheus: true, Settings: map[string]string{"DRAIN_DELAY": "3s"}}, size)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			watchAlerts(t, s).lookUntilQuiet()
			w := watchAlerts(t, s)
			end := breakdowns[name].begin(t, s)
			w.look(long(30*time.Second, breakdowns[name].lasts), rows[name])
			over := time.Since(w.start)
			end()
			w.lookUntilQuiet()
			for alert := range w.began {
				t.Logf("%s fired after %v, until %v", alert, w.began[alert], w.ended[alert])
				if stays := w.ended[alert] - over; *full && (w.began[alert] > soon || stays > soon) {
					t.Errorf("%s fired after %v, and %v longer than the fault, want %v at most", alert, w.began[alert], stays, soon)
				}
			}
			if !*full { // a busy machine is slow, whatever else is wrong
				maps.DeleteFunc(w.began, func(alert string, _ time.Duration) bool { return slowness.MatchString(alert) })
			}
			if got := slices.Sorted(maps.Keys(w.began)); !slices.Equal(got, rows[name]) {
				t.Errorf("%q fired, the table says %q", got, rows[name])
			}
		})
	}
}

// faultTable reads which alerts each fault raises, in order.
func faultTable(t *testing.T) map[string][]string {
	t.Helper()
	_, table, found := strings.Cut(readFile(t, "docs/runbook.md"), "\n|---|---|---|---|---|\n")
	if !found {
		t.Fatal("docs/runbook.md has no table of faults")
	}
	rows := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			break
		}
		alerts := []string{}
		for _, link := range regexp.MustCompile(`\[(Zonecast\w+)\]`).FindAllStringSubmatch(cells[2], -1) {
			alerts = append(alerts, link[1])
		}
		slices.Sort(alerts)
		rows[strings.TrimSpace(cells[1])] = alerts
	}
	return rows
}

// An alertWatch notes when alerts begin and cease to fire, from its start.
type alertWatch struct {
	t            *testing.T
	site         *site
	start        time.Time
	began, ended map[string]time.Duration
}

func watchAlerts(t *testing.T, s *site) *alertWatch {
	return &alertWatch{t, s, time.Now(), map[string]time.Duration{}, map[string]time.Duration{}}
}

// look looks for a while, and for longer while an alert that is wanted has not fired.
func (w *alertWatch) look(d time.Duration, want []string) {
	w.t.Helper()
	fired := func(name string) bool { _, known := w.began[name]; return known }
	lacks := func() bool { return slices.ContainsFunc(want, func(name string) bool { return !fired(name) }) }
	for time.Since(w.start) < d || lacks() && time.Since(w.start) < d+5*time.Minute {
		w.once()
		time.Sleep(time.Second)
	}
}

// lookUntilQuiet waits until no alert has been pending for a while: the rules look back for 5
// minutes at most.
func (w *alertWatch) lookUntilQuiet() {
	w.t.Helper()
	const quiet = 20 * time.Second
	deadline := time.Now().Add(10 * time.Minute)
	for last := time.Now(); time.Since(last) < quiet; time.Sleep(time.Second) {
		w.once()
		pending, err := ask(w.site.Stack, `ALERTS{alertname!="ZonecastWatchdog"}`)
		testkit.Must(w.t, err)
		if len(pending) > 0 {
			last = time.Now()
		}
		if last.After(deadline) {
			w.t.Fatalf("alerts still fire: %v", slices.Sorted(maps.Keys(w.ended)))
		}
	}
}

func (w *alertWatch) once() {
	now := time.Since(w.start).Round(time.Second)
	all, err := firingAlerts(w.site)
	testkit.Must(w.t, err)
	for _, name := range all {
		if _, known := w.began[name]; !known {
			w.began[name] = now
		}
		w.ended[name] = now
	}
}

// firingAlerts are those that fire, but for the one that always does.
func firingAlerts(s *site) (names []string, err error) {
	all, err := ask(s.Stack, `count by (alertname) (ALERTS{alertstate="firing",alertname!="ZonecastWatchdog"})`)
	for _, one := range all {
		names = append(names, one.Metric["alertname"])
	}
	slices.Sort(names)
	return names, err
}
