package e2e_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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

// A siteSize says how many clients stay in how many zones, and how much is published each second.
type siteSize struct{ clients, zones, rate int }

// A site is instances behind nginx, clients of all transports that stay, and steady publishing.
type site struct {
	*stack.Stack
	size    siteSize
	through *http.Client
	rollers []*roller
	last    []atomic.Pointer[wire.Offset] // accepted, of each zone

	failed, published atomic.Int64
	mu                sync.Mutex
	refusals          []time.Duration // how long each took
	refused           map[int]bool    // what 503 was the answer to, unless it said that the outcome is unknown

	stop, leave context.CancelFunc // publishing, and listening
	running     sync.WaitGroup
}

// openSite returns when each client has heard something.
func openSite(t *testing.T, o stack.Options, size siteSize) *site {
	t.Helper()
	o.Root, o.Binary, o.Redis, o.Nginx = repository, cmp.Or(o.Binary, binary()), true, true
	s := &site{Stack: stacktest.Start(t, o), size: size, last: make([]atomic.Pointer[wire.Offset], size.zones), refused: map[int]bool{},
		through: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: size.clients, DisableCompression: true}}}
	for n := range size.zones {
		s.publish(t, n)
	}
	listening, leave := context.WithCancel(t.Context())
	publishing, stop := context.WithCancel(t.Context())
	s.leave, s.stop = leave, stop
	t.Cleanup(func() { stop(); leave(); s.running.Wait() })
	for i := range size.clients {
		room, err := wire.NewRoom("warehouse-1", fmt.Sprint("site-", i%size.zones))
		testkit.Must(t, err)
		r := &roller{site: s, room: room, last: *s.last[i%size.zones].Load()}
		s.rollers = append(s.rollers, r)
		visit := []func(context.Context) error{r.webSocket, r.sse, r.poll}[i%3]
		s.running.Go(func() { r.run(listening, visit) })
		if i%50 == 0 {
			time.Sleep(50 * time.Millisecond) // they come over some time
		}
	}
	const publishers = 20
	for p := range publishers {
		s.running.Go(func() {
			tick := time.NewTicker(time.Second * publishers / time.Duration(size.rate))
			defer tick.Stop()
			for n := size.zones + p; ; n += publishers {
				select {
				case <-tick.C:
					s.publish(t, n)
				case <-publishing.Done():
					return
				}
			}
		})
	}
	testkit.Succeeds(t, "all clients hear something", func() error {
		for _, r := range s.rollers {
			if r.state().got == 0 {
				return fmt.Errorf("one in %s does not", r.room)
			}
		}
		return nil
	})
	s.reset()
	return s
}

func (s *site) publish(t *testing.T, n int) {
	zone, began := n%s.size.zones, time.Now()
	at, err := postThrough(context.Background(), s.through, s.Nginx.URL, fmt.Sprint("site-", zone), "", body(n))
	var r *refusal
	switch {
	case errors.As(err, &r) && r.status == http.StatusServiceUnavailable:
		s.mu.Lock()
		if !strings.Contains(r.body, "the outcome is unknown") {
			s.refusals, s.refused[n] = append(s.refusals, time.Since(began)), true
		}
		s.mu.Unlock()
		fallthrough
	case err != nil:
		if s.failed.Add(1) <= 5 {
			t.Logf("publish %d, after %v: %v", n, time.Since(began).Round(time.Millisecond), err)
		}
		return
	}
	s.published.Add(1)
	for { // answers may overtake one another
		was := s.last[zone].Load()
		if was != nil && was.N >= at.N || s.last[zone].CompareAndSwap(was, &at) {
			return
		}
	}
}

func (s *site) wasRefused(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused[n]
}

// reset begins the count of gaps and returns anew.
func (s *site) reset() {
	for _, r := range s.rollers {
		r.reset()
	}
}

// A siteReport is what the clients of a site went through since it was reset; each list is in
// order.
type siteReport struct{ gaps, returns []time.Duration }

// close stops publishing, and fails the test unless each client got each message, once and in
// order.
func (s *site) close(t *testing.T) siteReport {
	t.Helper()
	s.stop()
	time.Sleep(time.Second) // for the answers that are under way
	testkit.Succeeds(t, "all clients have everything", func() error {
		for i, r := range s.rollers {
			if got, want := r.state().last, *s.last[i%s.size.zones].Load(); got != want {
				return fmt.Errorf("one in %s is at %s, want %s", r.room, got, want)
			}
		}
		return nil
	})
	s.leave()
	s.running.Wait()
	var said siteReport
	var delivered uint64
	for _, r := range s.rollers {
		st := r.state()
		said.gaps, delivered = append(said.gaps, st.gap), delivered+st.got
		if st.back > 0 {
			said.returns = append(said.returns, st.back)
		}
		if st.wrong != "" {
			t.Errorf("%s: %s", r.room, st.wrong)
		}
	}
	slices.SortFunc(s.rollers, func(a, b *roller) int { return cmp.Compare(b.gap, a.gap) })
	for _, r := range s.rollers[:5] {
		t.Logf("longest in %s: %s", r.room, strings.Join(r.story, "; "))
	}
	slices.Sort(said.gaps)
	slices.Sort(said.returns)
	t.Logf("%d clients, %d publishes (%d failed), %d deliveries, time without news %s; %d had to come back, after %s",
		len(s.rollers), s.published.Load(), s.failed.Load(), delivered, spread(said.gaps), len(said.returns), spread(said.returns))
	return said
}

// spread says where the middle and the end of durations in order are.
func spread(of []time.Duration) string {
	if len(of) == 0 {
		return "-"
	}
	at := func(share int) time.Duration { return of[(len(of)-1)*share/100].Round(time.Millisecond) }
	return fmt.Sprintf("p50 %v, p99 %v, at most %v", at(50), at(99), at(100))
}

// A roller is a client that stays in one room, and comes back when and where it is told to.
type roller struct {
	site *site
	room wire.Room

	mu    sync.Mutex
	last  wire.Offset
	got   uint64
	at    time.Time     // of the last message
	gap   time.Duration // longest between two
	began time.Time     // of the count
	away  bool          // a visit failed, and none has brought a frame since
	back  time.Duration // after which the last one did that followed upon a failure
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
	last      wire.Offset
	got       uint64
	gap, back time.Duration
	wrong     string
}

func (r *roller) state() rollerState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return rollerState{r.last, r.got, r.gap, r.back, r.wrong}
}

func (r *roller) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.gap, r.began, r.back = time.Now(), 0, time.Now(), 0
}

// take takes a frame, and returns after which time to come back, if it says so.
func (r *roller) take(f frame) (wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		r.away, r.back = false, time.Since(r.began)
	}
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
		var told struct{ N int }
		if _ = json.Unmarshal(f.Data, &told); r.site.wasRefused(told.N) {
			r.wrong = fmt.Sprintf("%s came, which was refused", f.Data)
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
			r.mu.Lock()
			r.away = true
			r.mu.Unlock()
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
	conn, response, err := websocket.DefaultDialer.DialContext(ctx, r.site.Nginx.WebSocket(), nil)
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
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.site.Nginx.URL+"/sse?cursor="+r.cursor(), nil)
	if err != nil {
		return err
	}
	stream := *r.site.through
	stream.Timeout = 0
	answer, err := stream.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return &refusal{status: answer.StatusCode}
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
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.site.Nginx.URL+"/poll?cursor="+r.cursor(), nil)
	if err != nil {
		return err
	}
	answer, err := r.site.through.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return &refusal{status: answer.StatusCode}
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
