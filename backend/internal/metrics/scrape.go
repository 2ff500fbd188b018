package metrics

import (
	"bytes"
	"net/http"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"

	"github.com/zonecast/zonecast/backend/internal/limit"
)

// Handler answers scrapes. What they cost is bounded, however many ask, and in whatever form: those
// beyond a [limit.Budget] get what the last one got. Exemplars are in OpenMetrics and protocol
// buffers alone.
func (m *Metrics) Handler() http.Handler {
	return &scraper{collect: promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true}), last: map[form]*scrape{}}
}

type scraper struct {
	collect http.Handler

	mu     sync.Mutex
	budget limit.Budget
	last   map[form]*scrape // of each form, of which there are few
}

// ServeHTTP implements http.Handler.
func (s *scraper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.scrape(formOf(r.Header)).answer(w)
}

func (s *scraper) scrape(f form) *scrape {
	s.mu.Lock()
	defer s.mu.Unlock()
	collect := func() {
		made := &scrape{header: http.Header{}, status: http.StatusOK}
		s.collect.ServeHTTP(made, &http.Request{Method: http.MethodGet, Header: http.Header{
			"Accept": {string(f.format)}, "Accept-Encoding": {f.encoding}}})
		s.last[f] = made
	}
	if !s.budget.Do(collect) && s.last[f] == nil {
		collect()
	}
	return s.last[f]
}

// A form is how a scrape is written, as far as strangers can choose it.
type form struct {
	format   expfmt.Format
	encoding string // of the content
}

// maxAccept is the most bytes of Accept that are read: scrapers send some 300, and parsing what
// strangers send is not within the budget.
const maxAccept = 1 << 10

func formOf(h http.Header) form {
	encoding := "identity"
	if strings.Contains(h.Get("Accept-Encoding"), "gzip") {
		encoding = "gzip"
	}
	if len(h.Get("Accept")) > maxAccept {
		h = nil
	}
	return form{expfmt.NegotiateIncludingOpenMetrics(h), encoding}
}

// A scrape is an answer that was made for several.
type scrape struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (s *scrape) Header() http.Header { return s.header }

// WriteHeader implements http.ResponseWriter.
func (s *scrape) WriteHeader(status int) { s.status = status }

// Write implements http.ResponseWriter.
func (s *scrape) Write(p []byte) (int, error) { return s.body.Write(p) }

func (s *scrape) answer(w http.ResponseWriter) {
	for name, values := range s.header {
		w.Header()[name] = values
	}
	w.Header().Add("Vary", "Accept, Accept-Encoding")
	w.WriteHeader(s.status)
	_, _ = w.Write(s.body.Bytes()) // who is gone gets nothing
}
