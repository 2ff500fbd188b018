package settings

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Headers and certificates are taken as they are given, or refused before the run by a line that
// says what to change.
func TestHeadersAndCertificates(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.pem")
	if err := os.WriteFile(none, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		give   []string
		header string
		want   string
	}{
		{give: []string{"--header", "x-site: hall 7, east", "--header=X-Forwarded-For:192.0.2.7"}, header: "X-Site: hall 7, east\r\nX-Forwarded-For: 192.0.2.7\r\n"},
		{give: []string{"--header", "x-site"}, want: `header "x-site" is not NAME: VALUE`},
		{give: []string{"--header", "x site: 7"}, want: `header "x site: 7" is not NAME: VALUE`},
		{give: []string{"--header", "x: a\r\ny: b"}, want: "is not NAME: VALUE"},
		{give: []string{"--header", "authorization: Bearer x"}, want: "give --token (TOKEN) or --publish-key (PUBLISH_KEY) instead"},
		{give: []string{"--header", "sec-websocket-protocol: x"}, want: "header Sec-Websocket-Protocol is the load tester's own"},
		{give: []string{"--header", "Host: x"}, want: "header Host is the load tester's own"},
		{give: []string{"--ca", "/nowhere", "--ws-url=wss://a.example/ws"}, want: "--ca (CA_FILE): open /nowhere"},
		{give: []string{"--ca", none, "--ws-url=wss://a.example/ws"}, want: "has no certificate: give one in PEM"},
		{give: []string{"--ca", "../../../go.work"}, want: "--ca (CA_FILE)"},
	} {
		p, err := Parse(tt.give, io.Discard)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || p.Header != tt.header {
			t.Errorf("%q: header %q, %v; want %q, %q", tt.give, p.Header, err, tt.header, tt.want)
		}
	}
}
