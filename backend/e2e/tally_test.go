package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// A tally compares what was accepted with what clients saw. The figures are sums over clients.
type tally struct {
	sent, received int
	lost           int // accepted, never seen, and not told as a gap
	duplicated     int // seen again at the same offset
	reordered      int // seen after one with a higher offset of the same epoch
	gaps           int // told
	twice          int // one publication seen at two offsets
	outage         time.Duration
	wrong          []string // what else a client found wrong
}

// count takes in one client.
func (total *tally) count(sent []sighting, w *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[wire.Offset]bool{}
	data := map[string]wire.Offset{}
	highest := map[string]uint64{} // by epoch
	for i, s := range w.seen {
		switch {
		case seen[s.offset]:
			total.duplicated++
		case s.offset.N < highest[s.offset.Epoch]:
			total.reordered++
		default:
			highest[s.offset.Epoch] = s.offset.N
		}
		if first, known := data[s.data]; known && first != s.offset && !covered(w.gaps, first) {
			total.twice++
		}
		seen[s.offset], data[s.data] = true, s.offset
		if i > 0 {
			total.outage = max(total.outage, s.at.Sub(w.seen[i-1].at))
		}
	}
	for _, s := range sent {
		if !seen[s.offset] && !covered(w.gaps, s.offset) {
			total.lost++
		}
	}
	total.sent += len(sent)
	total.received += len(seen)
	total.gaps += len(w.gaps)
	for _, text := range w.wrong {
		if !strings.Contains(text, `"code":"unavailable"`) { // a server that has no Redis says so
			total.wrong = append(total.wrong, text)
		}
	}
}

// covered reports whether a client was told that it may have missed the message: it is in a gap, or
// the gap ended its epoch.
func covered(gaps []wire.Gap, o wire.Offset) bool {
	for _, g := range gaps {
		from, _ := wire.ParseOffset(g.From)
		to, _ := wire.ParseOffset(g.To)
		switch {
		case from.Epoch == o.Epoch && to.Epoch == o.Epoch && from.N < o.N && o.N <= to.N,
			from.Epoch == o.Epoch && to.Epoch != o.Epoch && from.N < o.N,
			from.Epoch != o.Epoch && to.Epoch == o.Epoch && o.N <= to.N:
			return true
		}
	}
	return false
}

// postWithin is post with a bound on the wait, as a service has that asks another instance next.
func postWithin(ctx context.Context, wait time.Duration, base, zone, key, body string) (wire.Offset, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return postThrough(ctx, http.DefaultClient, base, zone, key, body)
}

func postThrough(ctx context.Context, through *http.Client, base, zone, key, body string) (wire.Offset, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/warehouses/warehouse-1/zones/"+zone+"/broadcast",
		strings.NewReader(body))
	if err != nil {
		return wire.Offset{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	response, err := through.Do(r)
	if err != nil {
		return wire.Offset{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return wire.Offset{}, &refusal{response.StatusCode, response.Header.Get("Retry-After")}
	}
	var position wire.Position
	if err := json.NewDecoder(response.Body).Decode(&position); err != nil {
		return wire.Offset{}, err
	}
	return wire.ParseOffset(position.Offset)
}

func TestTheTallyCountsEachFailure(t *testing.T) {
	at := func(epoch string, n uint64) wire.Offset { return wire.Offset{Epoch: epoch, N: n} }
	var sent []sighting
	for n := uint64(1); n <= 6; n++ {
		sent = append(sent, sighting{offset: at("a", n), data: fmt.Sprint(n)})
	}
	see := func(numbers ...uint64) (all []sighting) {
		for _, n := range numbers {
			all = append(all, sighting{offset: at("a", n), data: fmt.Sprint(n)})
		}
		return all
	}
	for _, tt := range []struct {
		name string
		give *watcher
		want tally
	}{
		{"all is well", &watcher{seen: see(1, 2, 3, 4, 5, 6)}, tally{sent: 6, received: 6}},
		{"lost", &watcher{seen: see(1, 2, 5, 6)}, tally{sent: 6, received: 4, lost: 2}},
		{"duplicated", &watcher{seen: see(1, 2, 3, 3, 4, 5, 6)}, tally{sent: 6, received: 6, duplicated: 1}},
		{"reordered", &watcher{seen: see(1, 3, 2, 4, 5, 6)}, tally{sent: 6, received: 6, reordered: 1}},
		{"a gap that was told", &watcher{seen: see(1, 2, 5, 6), gaps: []wire.Gap{{From: "a-2", To: "a-4"}}}, tally{sent: 6, received: 4, gaps: 1}},
		{"a gap to another epoch", &watcher{seen: see(1, 2), gaps: []wire.Gap{{From: "a-2", To: "b-0"}}}, tally{sent: 6, received: 2, gaps: 1}},
		{"published twice", &watcher{seen: append(see(1, 2, 3, 4, 5, 6), sighting{offset: at("a", 7), data: "6"})},
			tally{sent: 6, received: 7, twice: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got tally
			got.count(sent, tt.give)
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
