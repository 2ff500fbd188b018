package tracing

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// A collector gets what its own protocol calls a request for export. One that is busy is asked
// again; what it refuses is told.
func TestSpansReachACollectorInItsProtocol(t *testing.T) {
	partly, err := proto.Marshal(&collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: 3, ErrorMessage: "too old"}})
	testkit.Must(t, err)
	whole, err := proto.Marshal(&collector.ExportTraceServiceResponse{})
	testkit.Must(t, err)
	for _, tt := range []struct {
		name    string
		answers []int
		body    []byte
		asked   int
		want    string
	}{
		{"it takes them", []int{200}, whole, 1, ""},
		{"it is busy at first", []int{503, 200}, whole, 2, ""},
		{"it takes a part", []int{200}, partly, 1, "the collector refused 3 spans: too old"},
		{"it wants something else", []int{400}, nil, 1, "400 Bad Request"},
		{"it answers nonsense", []int{200}, []byte{0xff}, 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				var request collector.ExportTraceServiceRequest
				if err := proto.Unmarshal(body, &request); err != nil || request.ResourceSpans[0].ScopeSpans[0].Spans[0].Name != "publish" ||
					r.Header.Get("Content-Type") != "application/x-protobuf" {
					t.Errorf("got %v (%v) as %s", &request, err, r.Header)
				}
				w.WriteHeader(tt.answers[asked])
				_, _ = w.Write(tt.body)
				asked++
			}))
			defer server.Close()
			var err error
			e := &exporter{url: server.URL, sent: func(e error) { err = e }}
			testkit.Must(t, e.UploadTraces(context.Background(), []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{Name: "publish"}}}}}}))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || asked != tt.asked {
				t.Errorf("%v after %d requests, want %q after %d", err, asked, tt.want, tt.asked)
			}
		})
	}
}

// A collector that is away is said once, and once when it is back.
func TestACollectorThatIsAwayIsSaidOnce(t *testing.T) {
	var log strings.Builder
	sent := sayOnce(slog.New(slog.NewTextHandler(&log, nil)), "http://127.0.0.1:4318")
	for _, err := range []error{nil, errors.New("connection refused"), errors.New("connection refused"), nil, nil} {
		sent(err)
	}
	if away, back := strings.Count(log.String(), "traces not sent"), strings.Count(log.String(), "traces are sent again"); away != 1 || back != 1 {
		t.Errorf("said %d and %d times, want once each:\n%s", away, back, log.String())
	}
}
