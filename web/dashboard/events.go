package dashboard

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
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

// serveEvents sends every section at once, then each one as it changes, until the viewer leaves.
// Something is sent for every snapshot, if only the time of it: a viewer that hears nothing for a
// few seconds takes the server for lost.
func (d *Dashboard) serveEvents(w http.ResponseWriter, r *http.Request) {
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

	sent := map[string][]byte{}
	var rank map[Zone]int
	for {
		f, changed := d.next()
		v := d.viewOf(f, r)
		if v.busiest && rank == nil {
			rank = v.ranks()
		}
		v.rank = rank
		if err := d.send(r.Context(), w, v, sent); err != nil {
			d.opts.Log.Debug("dashboard viewer left", "error", err)
			return
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

// send writes one event with the sections that differ from what this viewer got before.
func (d *Dashboard) send(ctx context.Context, w http.ResponseWriter, v view, sent map[string][]byte) error {
	var event bytes.Buffer
	for _, s := range v.sections() {
		var html bytes.Buffer
		if err := s.component.Render(ctx, &html); err != nil {
			return fmt.Errorf("render %s: %w", s.id, err)
		}
		if bytes.Equal(sent[s.id], html.Bytes()) {
			continue
		}
		sent[s.id] = html.Bytes()
		if err := partial(s).Render(ctx, &event); err != nil {
			return fmt.Errorf("render %s: %w", s.id, err)
		}
	}
	out := http.NewResponseController(w)
	// A writer that knows no deadlines (a middleware's, a test's) goes without.
	_ = out.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := w.Write(message(event.Bytes())); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("flush event: %w", err)
	}
	return nil
}

// message writes an unnamed event of the event stream format (HTML standard, 9.2.6): a data line
// for each line.
func message(html []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(html) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.Bytes()
}
