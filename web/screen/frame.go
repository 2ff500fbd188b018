package screen

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/a-h/templ"

	"github.com/zonecast/zonecast/web/assets"
	"github.com/zonecast/zonecast/web/internal/example"
	"github.com/zonecast/zonecast/web/internal/headers"
)

// A frame is what the server knows of a screen; the figures come over the socket.
type frame struct {
	Warehouse, Zone string
	StaleAfter      time.Duration
	Address         string // of this screen
	Example         string
	Style, Script   string // which stand in the page
}

// A problem is why there is no screen at an address.
type problem struct {
	Title, Text string
	Name        string // what was asked for, shown as it is
}

// A listing is what the index page knows of zones.
type listing struct {
	Incomplete bool
	Zones      []Zone
	Hidden     int // that did not fit
}

// maxIndexRows bounds the index page.
const maxIndexRows = 500

func (s screens) serveIndex(w http.ResponseWriter, r *http.Request) {
	headers.Page(w.Header())
	s.render(w, r, http.StatusOK, index(s.list(r)))
}

// list returns the zones that the sender of the request may see, in the order of their names.
func (s screens) list(r *http.Request) listing {
	if s.Zones == nil {
		return listing{}
	}
	zones, complete := s.Zones(r)
	zones = slices.SortedFunc(slices.Values(zones), func(a, b Zone) int {
		return cmp.Or(cmp.Compare(a.Warehouse, b.Warehouse), cmp.Compare(a.Name, b.Name))
	})
	shown := min(len(zones), maxIndexRows)
	return listing{Incomplete: !complete, Zones: zones[:shown], Hidden: len(zones) - shown}
}

func (s screens) serveProblem(w http.ResponseWriter, r *http.Request, status int, p problem) {
	headers.Page(w.Header())
	s.render(w, r, status, problemPage(p))
}

func (s screens) render(w http.ResponseWriter, r *http.Request, status int, c templ.Component) {
	w.Header().Set("Vary", "Accept-Encoding")
	packed := assets.AcceptsGzip(r)
	if packed {
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	var err error
	if packed {
		err = writeGzipped(r.Context(), w, c)
	} else {
		err = c.Render(r.Context(), w)
	}
	if err != nil {
		s.Log.Debug("screen page was not delivered", "error", err)
	}
}

// compressors are reused: each takes much more memory than a page, and more time to make. Strangers may
// ask for pages, so it is a level that costs little and still saves almost as much as the best one.
var compressors = sync.Pool{New: func() any {
	zw, _ := gzip.NewWriterLevel(io.Discard, 4) // of 1 to 9
	return zw
}}

// writeGzipped compresses a page before it writes it: who does not read holds the bytes of the page alone.
func writeGzipped(ctx context.Context, w io.Writer, c templ.Component) error {
	var page bytes.Buffer
	zw := compressors.Get().(*gzip.Writer)
	zw.Reset(&page)
	err := errors.Join(c.Render(ctx, zw), zw.Close())
	zw.Reset(io.Discard)
	compressors.Put(zw)
	if err == nil {
		_, err = w.Write(page.Bytes())
	}
	return err
}

// shiftExample is a command that publishes a shift to this very screen: it began two hours ago and
// lasts six more.
func shiftExample(r *http.Request, warehouse, zone string, keyRequired bool, now time.Time) string {
	hour := now.Truncate(time.Hour)
	body := fmt.Sprintf(`{"event":"SHIFT_SNAPSHOT","retain":true,"data":{
      "zone":"%s","name":"Ambient picking",
      "startsAt":%d,"endsAt":%d,"now":%d,
      "workers":12,"unitsPerHourTarget":1450,"unitsTarget":11600,
      "unitsDone":3120,"pickRate":1390,"ordersOpen":87}}`,
		zone, hour.Add(-2*time.Hour).UnixMilli(), hour.Add(6*time.Hour).UnixMilli(), now.UnixMilli())
	return example.Broadcast(example.Origin(r), warehouse, zone, body, keyRequired)
}
