package ws_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// While refused clients are told why, and don't answer, others connect in all the places there are.
// Of refused ones themselves only so many wait at once; the rest is refused over HTTP.
func TestRefusedConnectionsTakeNobodysPlace(t *testing.T) {
	s := start(t, options{Options: transporttest.Options{Guard: auth.Options{TokenSecret: secret},
		Limits: transport.Limits{Connections: 2}}})
	var strangers []*raw
	for range 100 { // at once: none of them answers its closing frame
		strangers = append(strangers, s.raw("token=none"))
	}
	for range 2 {
		s.dial("token=" + tokenOf(t, "u", time.Hour, false)).wantAlive()
	}
	_, answer, err := websocket.DefaultDialer.Dial("ws://"+s.address+"/ws?token=none", nil)
	if err == nil || answer == nil || answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("one more without a token: %v %v, want 401", answer, err)
	}
	for _, r := range strangers {
		r.Close()
	}
}

// Nothing is compressed with whom is not let in.
func TestDeflateIsNegotiatedOnlyWithAToken(t *testing.T) {
	s := start(t, options{deflate: 1024, Options: transporttest.Options{Guard: auth.Options{TokenSecret: secret}}})
	for token, want := range map[string]bool{"none": false, tokenOf(t, "u", time.Hour, false): true} {
		r := s.knock("token="+token, "Sec-WebSocket-Extensions: permessage-deflate\r\n", nil)
		defer r.Close()
		if got := r.handshaken().Get("Sec-WebSocket-Extensions") != ""; got != want {
			t.Errorf("deflate is %v, want %v", got, want)
		}
	}
}

// A compressed frame over the rate limit is refused before it is inflated: even one that would be
// too long costs nothing, and a short one is refused by its id.
func TestFramesAreSpentBeforeTheyAreInflated(t *testing.T) {
	s := start(t, options{deflate: 1024, Options: transporttest.Options{Limits: transport.Limits{Frames: limit.Rate{Tokens: 1, Refill: 0.001}}}})
	r := s.rawOffering("", "permessage-deflate")
	defer r.Close()
	r.until(text) // connected
	echo := func(id string) []byte {
		return frame(final|compressed|text, deflated([]byte(`{"event":"echo","id":`+id+`}`)))
	}
	_, _ = r.Write(append(append(echo("1"), frame(final|compressed|text, bomb())...), echo("2")...))
	r.answer(1)
	for _, id := range []int64{0, 2} { // of the bomb none is known
		f, err := wire.DecodeServer([]byte(r.until(text)))
		if err != nil || f.Event != wire.EventError || f.ID != id {
			t.Errorf("answered with %+v %v, want an error of %d", f, err, id)
		}
	}
	s.WantCount(2, "zonecast_messages_dropped_total", "reason=rate_limited")
}
