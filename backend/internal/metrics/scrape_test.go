package metrics

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// slowly takes a while to be collected.
type slowly struct{ collected int }

func (s *slowly) Describe(chan<- *prometheus.Desc) {}

func (s *slowly) Collect(chan<- prometheus.Metric) {
	s.collected++
	time.Sleep(10 * time.Millisecond)
}

func scrapeOf(h http.Handler, header http.Header) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header = header
	h.ServeHTTP(w, r)
	return w
}

// A stranger who scrapes without a pause has the server collect for a tenth of the time, in
// whatever form he asks.
func TestAFloodOfScrapesTakesATenthOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := New("test"), new(slowly)
		testkit.Must(t, m.Registry.Register(s))
		h := m.Handler()
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			for _, accept := range []string{"", "text/plain;version=1.0.0;escaping=dots", "text/plain;escaping=values", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text"} {
				scrapeOf(h, http.Header{"Accept": {accept}})
			}
		}
		if s.collected < 450 || s.collected > 520 { // 3 s at once, and a tenth of 20 s
			t.Errorf("collected %d times in 20 s", s.collected)
		}
	})
}

func TestScrapesAreInTheFormThatIsAskedFor(t *testing.T) {
	h := New("test").Handler()
	for _, c := range []struct {
		name, accept, encoding, wantType string
	}{
		{"plain", "", "", "text/plain"},
		{"compressed", "", "br, gzip", "text/plain"},
		{"more than scrapers accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited" + strings.Repeat(",a/b", 300), "", "text/plain"},
		{"OpenMetrics", askOpenMetrics, "gzip", "application/openmetrics-text"},
		{"protocol buffers", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", "", "application/vnd.google.protobuf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // the first is collected, the second may be shared
				w := scrapeOf(h, http.Header{"Accept": {c.accept}, "Accept-Encoding": {c.encoding}})
				var body io.Reader = w.Body
				if c.encoding != "" {
					var err error
					body, err = gzip.NewReader(w.Body)
					testkit.Must(t, err)
				}
				text, err := io.ReadAll(body)
				testkit.Must(t, err)
				if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || !strings.HasPrefix(got, c.wantType) || !strings.Contains(string(text), "zonecast_build_info") {
					t.Errorf("%d, %s, %d bytes; want 200, %s and all metrics", w.Code, got, len(text), c.wantType)
				}
			}
		})
	}
}
