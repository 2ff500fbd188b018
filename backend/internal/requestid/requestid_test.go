package requestid_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/logging"
	"github.com/zonecast/zonecast/backend/internal/requestid"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// An id that could break a line, fill the log or hide in it is replaced, as one that is missing.
func TestAnIDIsTakenIfItIsSaneElseMade(t *testing.T) {
	for _, tt := range []struct {
		give  string
		taken bool
	}{
		{"4bf92f35-77b3-4da6-a3ce-929d0e0e4736", true},
		{"Root=1-67891233/a+b_c.d:e@f", true},
		{strings.Repeat("x", 128), true},
		{strings.Repeat("x", 129), false},
		{"", false},
		{"a b", false},
		{"a\nlevel=ERROR", false},
		{`a"b`, false},
		{"é", false},
		{"\xff", false},
		{"\x1b[31m", false},
	} {
		answer, _ := serve(t, http.Header{requestid.Header: {tt.give}})
		if got := answer.Get(requestid.Header); (got == tt.give) != tt.taken || len(got) < 20 && !tt.taken {
			t.Errorf("%.40q became %q", tt.give, got)
		}
	}
	one, _ := serve(t, nil)
	other, _ := serve(t, nil)
	if one.Get(requestid.Header) == other.Get(requestid.Header) {
		t.Error("two requests have the same id")
	}
}

// Lines have the id of the request, and the trace's where the caller sent one that is valid.
func TestLinesNameTheRequestAndItsTrace(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, tt := range []struct {
		give string
		want any
	}{
		{"00-" + trace + "-00f067aa0ba902b7-01", trace},
		{"00-" + trace + "-00f067aa0ba902b7-00", trace}, // not sampled
		{"", nil},
		{"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", nil},
		{"00-x-y-01", nil},
		{"\n" + strings.Repeat("f", 10_000), nil},
	} {
		_, line := serve(t, http.Header{requestid.Header: {"order-7"}, "Traceparent": {tt.give}})
		if line["request_id"] != "order-7" || line["trace_id"] != tt.want || line["error"] != "e" {
			t.Errorf("%.40q: %v, want trace_id %v", tt.give, line, tt.want)
		}
	}
}

// serve answers a request with headers by a handler that logs; it returns the answer's header and
// the line.
func serve(t *testing.T, h http.Header) (http.Header, map[string]any) {
	t.Helper()
	var out bytes.Buffer
	log := logging.New(&out, "json", slog.LevelInfo)
	e := echo.New()
	e.Pre(requestid.Set)
	e.GET("/", func(c echo.Context) error {
		log.Error("request failed", "error", "e", requestid.Attr(c))
		return c.NoContent(http.StatusNoContent)
	})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = h
	answer := httptest.NewRecorder()
	e.ServeHTTP(answer, r)
	var line map[string]any
	testkit.Must(t, json.Unmarshal(out.Bytes(), &line))
	return answer.Header(), line
}
