package ws

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func offering(lines ...string) *http.Request {
	return &http.Request{Header: http.Header{"Sec-Websocket-Extensions": lines}}
}

func TestOffersOfDeflate(t *testing.T) {
	for _, c := range []struct {
		give []string // lines of the header
		want bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"permessage-deflate"}, true},
		{[]string{" permessage-deflate ;\tclient_max_window_bits"}, true},
		{[]string{"permessage-deflate; client_max_window_bits=8"}, true},
		{[]string{"permessage-deflate; client_max_window_bits = 15"}, true},
		{[]string{"permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=10"}, true},
		{[]string{"x-webkit-deflate-frame"}, false},
		{[]string{"x-webkit-deflate-frame", "permessage-deflate"}, true},
		{[]string{"x-webkit-deflate-frame, permessage-deflate"}, true},
		{[]string{"permessage-deflate; server_max_window_bits=10, permessage-deflate"}, true},
		// The answer bounds no window of the server, so these must be declined: section 7.1.2.1.
		{[]string{"permessage-deflate; server_max_window_bits=10"}, false},
		{[]string{"permessage-deflate; server_max_window_bits=15"}, false},
		{[]string{"permessage-deflate; something_else"}, false},
		{[]string{"permessage-deflate;"}, false},
		{[]string{"permessage-deflate; ; client_max_window_bits"}, false},
		{[]string{"permessage-deflate; server_no_context_takeover=1"}, false},
		{[]string{"permessage-deflate; client_max_window_bits=7"}, false},
		{[]string{"permessage-deflate; client_max_window_bits=08"}, false},
		{[]string{"permessage-deflate; client_max_window_bits="}, false},
		{[]string{"permessage-deflate; client_max_window_bits; client_max_window_bits"}, false},
		{[]string{`other; text="a, permessage-deflate, b"`}, false},
		{[]string{"permessage-deflate\u00a0"}, false},
	} {
		if got := offersDeflate(offering(c.give...)); got != c.want {
			t.Errorf("%q: %v, want %v", c.give, got, c.want)
		}
	}
}

// The grammar of an acceptable offer, once more: RFC 6455 section 9.1, RFC 7692 section 7.1.
var (
	offered    = regexp.MustCompile(`(?:[^,"]|"(?:[^"\\]|\\.)*"?)+`) // one of those in a line
	answerable = regexp.MustCompile(`^[ \t]*permessage-deflate(?:[ \t]*;[ \t]*(?:server_no_context_takeover|client_no_context_takeover|` +
		`client_max_window_bits(?:[ \t]*=[ \t]*(?:[89]|1[0-5]))?))*[ \t]*$`)
	parameter = regexp.MustCompile(`[a-z]+_[a-z_]+`)
)

func isAnswerable(offer string) bool {
	names := parameter.FindAllString(offer, -1)
	slices.Sort(names)
	return answerable.MatchString(offer) && len(slices.Compact(slices.Clone(names))) == len(names)
}

// Whatever a stranger offers: deflate is accepted only where the answer is within what was offered,
// and wherever it is unless there are quotes.
func FuzzOffers(f *testing.F) {
	f.Add("permessage-deflate; client_max_window_bits", "")
	f.Add("permessage-deflate; server_max_window_bits=15, permessage-deflate; client_no_context_takeover", "x")
	f.Add("permessage-deflate; client_max_window_bits=9; client_max_window_bits=9", ",;=,")
	f.Add(`other; text="a, permessage-deflate, b"`, `"\", permessage-deflate`)
	f.Fuzz(func(t *testing.T, one, two string) {
		want := slices.ContainsFunc(append(offered.FindAllString(one, -1), offered.FindAllString(two, -1)...), isAnswerable)
		got := offersDeflate(offering(one, two))
		if quoted := strings.Contains(one+two, `"`); got && !want || want && !got && !quoted {
			t.Errorf("%q, %q: accepted: %v, want %v", one, two, got, want)
		}
	})
}
