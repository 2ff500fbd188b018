package dashboard

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/a-h/templ"
)

// writeTimeout is how long a viewer may take to accept one message. A laptop that was closed is let
// go after it.
const writeTimeout = 10 * time.Second

// A section is a part of the page that changes by itself.
type section struct {
	id        string
	component templ.Component
}

// serveEvents is the stream of the overview.
func (d *Dashboard) serveEvents(w http.ResponseWriter, r *http.Request) {
	key := d.feedKey(r)
	if r.URL.Query().Get("sort") == "connections" { // in the order in which this viewer found them
		key += "\x00" + strconv.FormatUint(d.streams.Add(1), 10)
	}
	d.stream(w, r, key, d.loadOverview(r))
}

// stream sends every section at once, then each one as it changes, until the viewer leaves.
// Something is sent for every snapshot, if only the time of it: a viewer that hears nothing for a
// few seconds takes the server for lost.
func (d *Dashboard) stream(w http.ResponseWriter, r *http.Request, key string, load loader) {
	if r.Method == http.MethodHead { // which asks for the header alone, and would wait for the end of the stream
		if d.viewers.Load() >= maxViewers {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		return
	}
	if d.viewers.Add(1) > maxViewers {
		d.viewers.Add(-1)
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many dashboards are open: close some of them", http.StatusServiceUnavailable)
		return
	}
	defer d.viewers.Add(-1)
	if d.viewers.Load() == 1 {
		select {
		case d.arrived <- struct{}{}:
		default:
		}
	}
	defer func() { _ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) }()
	head := w.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Accel-Buffering", "no") // nginx passes each event on at once
	head.Set("X-Content-Type-Options", "nosniff")

	one := d.feeds.watch(r.Context(), key, load)
	if one == nil {
		return
	}
	defer d.feeds.leave(one)
	sent := map[string][]byte{}
	for {
		all, changed := one.next()
		if all != nil {
			if err := send(w, all, sent); err != nil {
				d.opts.Log.Debug("dashboard viewer left", "error", err)
				return
			}
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-d.closed:
			return
		}
	}
}

// loadOverview is the loader of the overview that a request asks for.
func (d *Dashboard) loadOverview(r *http.Request) loader {
	var rank map[Zone]int
	return func(context.Context) ([]section, <-chan struct{}) {
		f, changed := d.next()
		v := d.viewOf(f, r)
		if v.busiest && rank == nil {
			rank = v.ranks()
		}
		v.rank = rank
		return v.sections(), changed
	}
}

// send writes one event with the sections that differ from what this viewer got before.
func send(w http.ResponseWriter, all []rendered, sent map[string][]byte) error {
	var event bytes.Buffer
	for _, s := range all {
		if !bytes.Equal(sent[s.id], s.html) {
			sent[s.id] = s.html
			event.Write(s.event)
		}
	}
	event.WriteByte('\n')
	out := http.NewResponseController(w)
	// A writer that knows no deadlines (a middleware's, a test's) goes without.
	_ = out.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := w.Write(event.Bytes()); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("flush event: %w", err)
	}
	return nil
}

// message writes what belongs to an unnamed event of the event stream format (HTML standard,
// 9.2.6): a data line for each line.
func message(html []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(html) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	return b.Bytes()
}
