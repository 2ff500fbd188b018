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
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"

	"github.com/zonecast/zonecast/web/assets"
	"github.com/zonecast/zonecast/web/base"
	"github.com/zonecast/zonecast/web/internal/example"
	"github.com/zonecast/zonecast/web/internal/headers"
)

// A frame is what the server knows of a screen; the figures come over the socket.
type frame struct {
	Warehouse, Zone string // no zone: the whole warehouse
	StaleAfter      time.Duration
	Pairing         bool   // whether it may get a token at /screen/pair
	Address         string // of this screen
	Example         string
	Style, Script   string // which stand in the page
}

// place names what the screen is of.
func (f frame) place() string {
	if f.Zone == "" {
		return f.Warehouse
	}
	return f.Zone + " · " + f.Warehouse
}

// name is what the screen is of, until the publisher says how people call it.
func (f frame) name() string { return cmp.Or(f.Zone, f.Warehouse) }

// A problem is why there is no screen at an address.
type problem struct {
	Title, Text string
	Name        string // what was asked for, shown as it is
	Retry       int    // after how many seconds the page tries again; 0 for never
}

// A listing is what the index page knows of zones.
type listing struct {
	Incomplete bool
	Query      string // that the zones were searched for
	Total      int    // zones that there are
	Zones      []Zone
	Hidden     int // that were found and did not fit
	Unreadable []Unreadable
}

func (l listing) count() string {
	if found := len(l.Zones) + l.Hidden; found < l.Total {
		return fmt.Sprintf("%d of %d", found, l.Total)
	}
	return strconv.Itoa(l.Total)
}

// maxIndexRows bounds the index page.
const maxIndexRows = 2000

func (s *Screens) serveIndex(w http.ResponseWriter, r *http.Request) {
	headers.Page(w.Header())
	s.render(w, r, http.StatusOK, index(s.list(r)))
}

// list returns the zones that the sender of the request may see and searches for, in the order of
// their names.
func (s *Screens) list(r *http.Request) listing {
	if s.Zones == nil {
		return listing{}
	}
	zones, complete := s.Zones(r)
	var unreadable []Unreadable
	if s.Unreadable != nil {
		unreadable = s.Unreadable(r)
	}
	l := listing{Unreadable: unreadable, Incomplete: !complete, Query: r.URL.Query().Get("q"), Total: len(zones)}
	words := strings.Fields(strings.ToLower(l.Query))
	for _, z := range zones {
		if name := strings.ToLower(z.Warehouse + " " + z.Name); !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(name, word) }) {
			l.Zones = append(l.Zones, z)
		}
	}
	slices.SortFunc(l.Zones, func(a, b Zone) int {
		return cmp.Or(cmp.Compare(a.Warehouse, b.Warehouse), cmp.Compare(a.Name, b.Name))
	})
	shown := min(len(l.Zones), maxIndexRows)
	l.Zones, l.Hidden = l.Zones[:shown], len(l.Zones)-shown
	return l
}

// screenAddress is where a browser finds the screen of a warehouse, or of one of its zones.
func screenAddress(ctx context.Context, names ...string) string {
	for i, name := range names {
		names[i] = url.PathEscape(name)
	}
	return base.Path(ctx, Prefix+strings.Join(names, "/"))
}

func (s *Screens) serveProblem(w http.ResponseWriter, r *http.Request, status int, p problem) {
	headers.Page(w.Header())
	if p.Retry > 0 {
		w.Header().Set("Refresh", strconv.Itoa(p.Retry))
	}
	s.render(w, r, status, problemPage(p))
}

func (s *Screens) render(w http.ResponseWriter, r *http.Request, status int, c templ.Component) {
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
		err = s.writeGzipped(r.Context(), w, c)
	} else {
		err = c.Render(r.Context(), w)
	}
	if err != nil {
		s.Log.Debug("screen page was not delivered", "error", err)
	}
}

// compressors are reused: each takes much more memory than a page, and more time to make.
func compressors(level int) *sync.Pool {
	return &sync.Pool{New: func() any {
		zw, _ := gzip.NewWriterLevel(io.Discard, level) // a level that there is
		return zw
	}}
}

var thorough, fast = compressors(gzip.BestCompression), compressors(gzip.BestSpeed)

// writeGzipped compresses a page before it writes it: who does not read holds the bytes of the page
// alone. It does so thoroughly, for screens on bad networks, as long as Options.Afford lets it.
func (s *Screens) writeGzipped(ctx context.Context, w io.Writer, c templ.Component) (err error) {
	var page bytes.Buffer
	compress := func(with *sync.Pool) {
		zw := with.Get().(*gzip.Writer)
		zw.Reset(&page)
		err = errors.Join(c.Render(ctx, zw), zw.Close())
		zw.Reset(io.Discard)
		with.Put(zw)
	}
	if !s.Afford(func() { compress(thorough) }) {
		compress(fast)
	}
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
