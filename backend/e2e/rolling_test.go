package e2e_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

var previous = flag.String("previous", "", "a program of a release before: TestPromiseRollingRestart rolls it into this one, and back")

// Three instances are restarted one after the other, behind nginx, under clients of all transports
// and steady publishing: no publish fails, each client gets each message once and in order, and is
// without news for less than 2 s. With -full as many clients and publishes as at a large site, whose
// connections are even again within a minute. With -previous they are upgraded, and then rolled back.
func TestPromiseRollingRestart(t *testing.T) {
	programs := []string{binary(), binary()}
	if *previous != "" {
		programs = []string{*previous, binary(), *previous}
	}
	program := filepath.Join(t.TempDir(), "zonecast")
	testkit.Must(t, os.Symlink(programs[0], program))
	clients, zones, rate, most := 300, 10, 100, 30*time.Second // a busy machine is slow
	if *full {
		clients, zones, rate, most = 3000, 100, 500, 2*time.Second
	}
	s := stacktest.Start(t, stack.Options{Root: repository, Binary: program, Instances: 3, Redis: true, Nginx: true,
		Settings: map[string]string{"DRAIN_DELAY": "3s", "HISTORY_MESSAGES": "5000", "REBALANCE_INTERVAL": "10s"}})
	through := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}}
	last := make([]atomic.Pointer[wire.Offset], zones)
	var failed, published atomic.Int64
	publish := func(n int) {
		zone := n % zones
		at, err := rollingPost(through, s.Nginx.URL, zone, n)
		if err != nil {
			failed.Add(1)
			t.Logf("publish: %v", err)
			return
		}
		published.Add(1)
		for { // answers may overtake one another
			was := last[zone].Load()
			if was != nil && was.N >= at.N || last[zone].CompareAndSwap(was, &at) {
				return
			}
		}
	}
	for n := range zones {
		publish(n)
	}
	listening, leave := context.WithCancel(t.Context())
	defer leave()
	var running sync.WaitGroup
	var all []*roller
	for i := range clients {
		room, err := wire.NewRoom("warehouse-1", fmt.Sprint("rolling-", i%zones))
		testkit.Must(t, err)
		r := &roller{base: s.Nginx.URL, ws: s.Nginx.WebSocket(), through: through, room: room, last: *last[i%zones].Load()}
		all = append(all, r)
		visit := []func(context.Context) error{r.webSocket, r.sse, r.poll}[i%3]
		running.Go(func() { r.run(listening, visit) })
		if i%50 == 0 {
			time.Sleep(50 * time.Millisecond) // they come over some time
		}
	}
	publishing, stop := context.WithCancel(t.Context())
	defer stop()
	const publishers = 20
	for p := range publishers {
		running.Go(func() {
			tick := time.NewTicker(time.Second * publishers / time.Duration(rate))
			defer tick.Stop()
			for n := p; ; n += publishers {
				select {
				case <-tick.C:
					publish(n)
				case <-publishing.Done():
					return
				}
			}
		})
	}
	testkit.Succeeds(t, "all clients hear something", func() error {
		for _, r := range all {
			if r.state().got == 0 {
				return fmt.Errorf("one in %s does not", r.room)
			}
		}
		return nil
	})
	for _, r := range all {
		r.reset() // connecting is over: gaps count from here on
	}
	for _, next := range programs[1:] {
		testkit.Must(t, os.Remove(program))
		testkit.Must(t, os.Symlink(next, program))
		for _, i := range s.Instances {
			if err := i.Restart(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	if *full {
		wantEven(t, s.Instances, time.Minute)
	}
	stop()
	time.Sleep(time.Second) // for the answers that are under way
	var gaps []time.Duration
	testkit.Succeeds(t, "all clients have everything", func() error {
		for i, r := range all {
			if got, want := r.state().last, *last[i%zones].Load(); got != want {
				return fmt.Errorf("one in %s is at %s, want %s", r.room, got, want)
			}
		}
		return nil
	})
	leave()
	running.Wait()
	var delivered uint64
	for _, r := range all {
		st := r.state()
		gaps, delivered = append(gaps, st.gap), delivered+st.got
		if st.wrong != "" {
			t.Errorf("%s: %s", r.room, st.wrong)
		}
	}
	slices.SortFunc(all, func(a, b *roller) int { return cmp.Compare(b.gap, a.gap) })
	for _, r := range all[:5] {
		t.Logf("longest in %s: %s", r.room, strings.Join(r.story, "; "))
	}
	slices.Sort(gaps)
	longest := gaps[len(gaps)-1]
	t.Logf("%d clients, %d publishes (%d failed), %d deliveries, longest time without news %v (p50 %v, p99 %v)",
		clients, published.Load(), failed.Load(), delivered, longest, gaps[len(gaps)/2], gaps[len(gaps)*99/100])
	if failed.Load() > 0 || longest > most {
		t.Errorf("%d publishes failed, and a client was without news for %v; want 0 and less than %v", failed.Load(), longest, most)
	}
}

// wantEven waits until each instance has as many streams as the mean, give or take a fifth.
func wantEven(t *testing.T, instances []*stack.Server, within time.Duration) {
	t.Helper()
	var each []float64
	for began := time.Now(); time.Since(began) < within; time.Sleep(time.Second) {
		each = each[:0]
		var sum float64
		for _, i := range instances {
			n := metric(t, i.URL, `zonecast_connections{transport="websocket"}`) + metric(t, i.URL, `zonecast_connections{transport="sse"}`)
			each, sum = append(each, n), sum+n
		}
		mean := sum / float64(len(each))
		if slices.Max(each) <= 1.2*mean && slices.Min(each) >= 0.8*mean {
			t.Logf("streams by instance after %v: %v", time.Since(began).Round(time.Second), each)
			return
		}
	}
	t.Errorf("streams by instance after %v: %v", within, each)
}

func rollingPost(through *http.Client, base string, zone, n int) (wire.Offset, error) {
	return postThrough(context.Background(), through, base, fmt.Sprint("rolling-", zone), "", body(n))
}

// A roller is a client that stays in one room, and comes back when and where it is told to.
type roller struct {
	base, ws string
	through  *http.Client
	room     wire.Room

	mu    sync.Mutex
	last  wire.Offset
	got   uint64
	at    time.Time     // of the last message
	gap   time.Duration // longest between two
	since []string      // what happened since the last message, for what took so long
	story []string      // the same of the longest gap
	wrong string
}

// note notes what happened, until the next message comes.
func (r *roller) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.since) < 100 {
		r.since = append(r.since, fmt.Sprint(time.Since(r.at).Round(time.Millisecond), " ")+fmt.Sprintf(format, args...))
	}
}

type rollerState struct {
	last  wire.Offset
	got   uint64
	gap   time.Duration
	wrong string
}

func (r *roller) state() rollerState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return rollerState{r.last, r.got, r.gap, r.wrong}
}

func (r *roller) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.gap = time.Now(), 0
}

// take takes a frame, and returns after which time to come back, if it says so.
func (r *roller) take(f frame) (wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch f.Event {
	case wire.EventDrain:
		var d wire.Drain
		_ = json.Unmarshal(f.Data, &d)
		return time.Duration(d.RetryAfter) * time.Millisecond
	case wire.EventGap:
		r.wrong = "gap " + string(f.Data)
	case "ZONE_UPDATE":
		at, err := wire.ParseOffset(f.Offset)
		if err != nil || at.Epoch != r.last.Epoch || at.N != r.last.N+1 {
			r.wrong = fmt.Sprintf("%s after %s", f.Offset, r.last)
		}
		now := time.Now()
		if gap := now.Sub(r.at); !r.at.IsZero() && gap > r.gap {
			r.gap, r.story = gap, append(r.since, fmt.Sprint(gap.Round(time.Millisecond), " ", f.Offset))
		}
		r.last, r.at, r.since = at, now, nil
		r.got++
	}
	return 0
}

func (r *roller) cursor() string {
	return wire.Cursor{{Room: r.room, Offset: r.state().last}}.String()
}

// run visits until ctx ends. A visit that fails without a word is tried again soon.
func (r *roller) run(ctx context.Context, visit func(context.Context) error) {
	for ctx.Err() == nil {
		if err := visit(ctx); err != nil {
			r.note("%v", err)
			pauseIn(ctx, 50*time.Millisecond)
		}
	}
}

func pauseIn(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (r *roller) webSocket(ctx context.Context) error {
	conn, response, err := websocket.DefaultDialer.DialContext(ctx, r.ws, nil)
	if err != nil {
		if response != nil {
			response.Body.Close()
		}
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r.note("open")
	s := wire.Subscribe{Target: wire.Target{Warehouse: r.room.Warehouse, Zone: r.room.Zone}, Offset: r.state().last.String()}
	if err := conn.WriteJSON(map[string]any{"event": wire.EventSubscribe, "data": s}); err != nil {
		return err
	}
	for {
		var f frame
		if err := conn.ReadJSON(&f); err != nil {
			return err
		}
		if wait := r.take(f); wait > 0 {
			r.note("drain: back in %v", wait)
			pauseIn(ctx, wait)
			r.note("come back")
			return nil
		}
	}
}

func (r *roller) sse(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+"/sse?cursor="+r.cursor(), nil)
	if err != nil {
		return err
	}
	stream := *r.through
	stream.Timeout = 0
	answer, err := stream.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return &refusal{answer.StatusCode, ""}
	}
	r.note("open")
	for events := transporttest.ReadEvents(answer.Body); ; {
		e, err := events.Next()
		if err != nil {
			return err
		}
		wait := r.take(frame{Event: e.Frame.Event, Offset: e.Frame.Offset, Data: e.Frame.Data})
		if wait > 0 {
			r.note("drain: back in %v", wait)
			pauseIn(ctx, wait)
			r.note("come back")
			return nil
		}
	}
}

func (r *roller) poll(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+"/poll?cursor="+r.cursor(), nil)
	if err != nil {
		return err
	}
	answer, err := r.through.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return &refusal{answer.StatusCode, ""}
	}
	var told struct {
		Messages   []frame
		RetryAfter int64
	}
	if err := json.NewDecoder(answer.Body).Decode(&told); err != nil {
		return err
	}
	for _, f := range told.Messages {
		r.take(f)
	}
	r.note("poll answered with %d, again in %d ms", len(told.Messages), told.RetryAfter)
	pauseIn(ctx, time.Duration(told.RetryAfter)*time.Millisecond)
	return nil
}
