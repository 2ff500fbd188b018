package ws_test

import (
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// Whatever text comes in a frame: the server answers in the protocol, and the next request too.
func FuzzText(f *testing.F) {
	for _, text := range []string{
		`{"event":"echo","id":1,"data":{}}`,
		`{"event":"subscribe","id":1,"data":{"warehouse":"w1","zone":"a","offset":"k3f9-17"}}`,
		`{"event":"unsubscribe","id":1,"data":{"warehouse":"w1"}}`,
		`{"event":"publish","id":1,"data":{"warehouse":"w1","event":"E","data":[1]}}`,
		`{"event":"authenticate","id":1,"data":{"token":"t"}}`,
		`{"event":"subscribe","data":{"warehouse":"w1","offset":"k3f9-9223372036854775807"}}`,
		"\xff", ``, `[]`,
	} {
		f.Add(text)
	}
	s := start(f, options{})
	f.Fuzz(func(t *testing.T, give string) {
		if len(give) > frameLimit {
			return
		}
		r := s.in(t).raw("warehouse=w1")
		defer r.Close()
		r.Write(append(frame(final|text, give), frame(final|text, `{"event":"echo","id":4711,"data":"alive"}`)...))
		for {
			f, err := wire.DecodeServer([]byte(r.until(text)))
			testkit.Must(t, err)
			if f.ID == 4711 && string(f.Data) == `"alive"` {
				return
			}
		}
	})
}

// Whatever bytes a stranger sends: the connection ends when it does, and nothing of it stays.
func FuzzBytes(f *testing.F) {
	f.Add(frame(final|text, `{"event":"echo","id":1}`))
	f.Add(frame(text, `{"event":`))
	f.Add(frame(final|binaryData, "x"))
	f.Add(frame(final|ping, "x"))
	f.Add(frame(final|closing, "\x03\xe8"))
	f.Add([]byte{final | text, 2, '{', '}'})
	noise := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		p := make([]byte, 1+noise.IntN(4000))
		for k := range p {
			p[k] = byte(noise.Uint32())
		}
		f.Add(p)
	}
	f.Add([]byte{final | text, masked | 127, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4})
	f.Add(frame(final|compressed|text, deflated([]byte(`{"event":"echo","id":1}`))))
	f.Add(append(frame(compressed|text, "\x00"), frame(final|continuation, "\xff")...))
	server := start(f, options{deflate: 1024})
	f.Fuzz(func(t *testing.T, give []byte) {
		for _, extensions := range []string{"", "permessage-deflate"} {
			fuzzBytes(server.in(t), extensions, give)
		}
	})
}

func fuzzBytes(s *server, extensions string, give []byte) {
	r := s.rawOffering("warehouse=w1", extensions)
	defer r.Close()
	r.Write(give)
	r.Conn.(*net.TCPConn).CloseWrite()
	r.end()
	eventually(s.t, "nothing is left", func() bool { return s.Hub.Connections() == 0 && s.Hub.Rooms() == 0 })
	closed, opened := s.Counter("zonecast_connections_closed_total"), s.Counter("zonecast_connections_opened_total")
	if closed > opened || s.Counter("zonecast_connections_closed_total", "code=unknown") > 0 {
		s.t.Fatalf("%v connections were opened, %v closed, %v of them for no reason", opened, closed,
			s.Counter("zonecast_connections_closed_total", "code=unknown"))
	}
}

// Whatever query a stranger sends: it is a problem with it, or that this is no WebSocket request.
func FuzzQuery(f *testing.F) {
	for _, query := range []string{"", "warehouse=w1&zone=a&userId=u", "zone=a", "warehouse=%zz", "warehouse=a:b", "a;b",
		"warehouse=w&warehouse=x", "token=%00"} {
		f.Add(query)
	}
	s := start(f, options{})
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/ws", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		// Malformed, or too many rooms.
		if w.Code == http.StatusBadRequest || w.Code == http.StatusTooManyRequests {
			wantProblem(t, w.Result(), w.Code, "", "")
			return
		}
		wantProblem(t, w.Result(), http.StatusUpgradeRequired, "", "")
	})
}
