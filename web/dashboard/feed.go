package dashboard

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/zonecast/zonecast/web/base"
	"github.com/zonecast/zonecast/web/internal/example"
)

// A loader returns what a live view shows now, and a channel that is closed when there is more to
// show.
type loader func(context.Context) ([]section, <-chan struct{})

// A rendered is a section as it travels, the same for all viewers.
type rendered struct {
	id    string
	html  []byte
	event []byte // data lines of the event stream format
}

// A feed renders one live view once a tick, for all who watch it.
type feed struct {
	key      string
	stop     context.CancelFunc
	watchers int // guarded by feeds.mu

	mu      sync.Mutex
	latest  []rendered    // nil before the first
	changed chan struct{} // closed, and replaced, at each new one
}

// feeds are those that somebody watches; with nobody watching nothing is rendered.
type feeds struct {
	running sync.WaitGroup

	mu     sync.Mutex
	all    map[string]*feed // by key
	closed bool
}

// feedKey is the same for all who see the same: the same view, below the same path and origin, with
// the same rights.
func (d *Dashboard) feedKey(r *http.Request) string {
	v := d.opts.Viewer(r)
	return strings.Join([]string{base.Of(r.Context()), example.Origin(r), r.URL.Path, r.URL.RawQuery,
		fmt.Sprintf("%t %t %t %t %q %t %q", v.CanDismiss, v.CanRebalance, v.CanDisconnect, v.Limited, v.Warehouses, v.SendsToAll, v.SendsTo)}, "\x00")
}

// watch returns the feed of a key, which begins with the first who watches it; nil once the
// dashboard is closed. ctx gives the feed its values, and may end before it.
func (f *feeds) watch(ctx context.Context, key string, load loader) *feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	one := f.all[key]
	if one == nil {
		one = &feed{key: key, changed: make(chan struct{})}
		ctx, one.stop = context.WithCancel(context.WithoutCancel(ctx))
		if f.all == nil {
			f.all = map[string]*feed{}
		}
		f.all[key] = one
		f.running.Go(func() { one.run(ctx, load) })
	}
	one.watchers++
	return one
}

// leave ends the feed with the last who watches it.
func (f *feeds) leave(one *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one.watchers--; one.watchers == 0 {
		delete(f.all, one.key)
		one.stop()
	}
}

// close ends all feeds, and waits for them.
func (f *feeds) close() {
	f.mu.Lock()
	f.closed = true
	for _, one := range f.all {
		one.stop()
	}
	f.mu.Unlock()
	f.running.Wait()
}

func (f *feed) run(ctx context.Context, load loader) {
	for ctx.Err() == nil {
		sections, more := load(ctx)
		if all, err := render(ctx, sections); err == nil {
			f.show(all)
		}
		select {
		case <-more:
		case <-ctx.Done():
		}
	}
}

// render renders the sections as they travel.
func render(ctx context.Context, sections []section) ([]rendered, error) {
	all := make([]rendered, len(sections))
	for i, s := range sections {
		var html, event bytes.Buffer
		if err := s.component.Render(ctx, &html); err != nil {
			return nil, fmt.Errorf("render %s: %w", s.id, err)
		}
		if err := partial(s).Render(ctx, &event); err != nil {
			return nil, fmt.Errorf("render %s: %w", s.id, err)
		}
		all[i] = rendered{s.id, html.Bytes(), message(event.Bytes())}
	}
	return all, nil
}

func (f *feed) show(all []rendered) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latest = all
	close(f.changed)
	f.changed = make(chan struct{})
}

// next returns the newest rendering, and a channel that is closed when there is a newer one.
func (f *feed) next() ([]rendered, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.latest, f.changed
}

// tick returns a channel that is closed after the time between two renderings of a view that asks
// the instances.
func tick() <-chan struct{} {
	c := make(chan struct{})
	time.AfterFunc(feedInterval, func() { close(c) })
	return c
}

// feedInterval is that time; askTimeout is how long a view waits for the instances' answers.
// Together they are shorter than the silence for which a page takes the server for lost.
const (
	feedInterval = 2 * time.Second
	askTimeout   = 900 * time.Millisecond
)
