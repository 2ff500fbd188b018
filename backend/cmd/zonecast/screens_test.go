package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// A kiosk that is refused shows a page that tries again, never JSON.
func TestAScreenThatIsRefusedIsAPageThatTriesAgain(t *testing.T) {
	s := serving(t, "--operator-password=a-long-password")
	for _, tt := range []struct {
		path, host string
		want       int
	}{
		{"/screen/w/a", "kiosk.example", http.StatusMisdirectedRequest},
		{"/screen/w", "kiosk.example", http.StatusMisdirectedRequest},
		{"/screen/w/a/b", "", http.StatusNotFound},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+tt.path, nil)
		testkit.Must(t, err)
		r.Host = tt.host
		answer, err := http.DefaultTransport.RoundTrip(r)
		testkit.Must(t, err)
		page, err := io.ReadAll(answer.Body)
		testkit.Must(t, err)
		if answer.StatusCode != tt.want || answer.Header.Get("Refresh") == "" || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html") ||
			!strings.Contains(string(page), "<h1>") {
			t.Errorf("%s at %s: %s %v", tt.path, tt.host, answer.Status, answer.Header)
		}
		answer.Body.Close()
	}
	if answer, _ := s.ask(t, http.MethodPost, "/screen/w/a"); answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Content-Type") == "" {
		t.Errorf("a POST: %s", answer.Status)
	}
}

// The list has zones that nobody is connected to, if they were published to, and screens that wait.
func TestTheListOfScreensHasEveryZone(t *testing.T) {
	s := serving(t)
	for _, zone := range []string{"quiet", "other"} {
		if answer, body := s.ask(t, http.MethodPost, "/api/v1/warehouses/w/zones/"+zone+"/broadcast", `{"event":"E"}`); answer.StatusCode != http.StatusOK {
			t.Fatalf("%s", body)
		}
	}
	s.connectTo(t, "warehouse=w&zone=waiting")
	testkit.Eventually(t, "all are listed", func() bool {
		_, body := s.ask(t, http.MethodGet, "/screen/")
		var rows []string
		for _, row := range tableRow.FindAllString(string(body), -1) {
			rows = append(rows, strings.Join(strings.Fields(tag.ReplaceAllString(row, " ")), " "))
		}
		return strings.Join(rows[1:], "; ") == "other w 0 published to; quiet w 0 published to; waiting w 1 never published to"
	})
}

var tableRow, tag = regexp.MustCompile(`(?s)<tr>.*?</tr>`), regexp.MustCompile(`<[^>]*>`)
