package transport_test

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/api"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/poll"
	"github.com/zonecast/zonecast/backend/internal/transport/sse"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/internal/transport/ws"
	"github.com/zonecast/zonecast/backend/wire"
)

// startAll starts a server with all ways in.
func startAll(t *testing.T, guard auth.Options) *transporttest.Server {
	t.Helper()
	return startLimited(t, guard, transport.Limits{})
}

func startLimited(t *testing.T, guard auth.Options, limits transport.Limits) *transporttest.Server {
	t.Helper()
	return transporttest.Start(t, transporttest.Options{Guard: guard, Limits: limits, Transport: transport.WebSocket, Routes: allRoutes})
}

// allRoutes are those of all transports, and of the API.
func allRoutes(e *echo.Echo, g *transport.Gate, pool *outbox.Pool) {
	e.GET("/ws", ws.New(ws.Options{Gate: g, Pool: pool}).Serve)
	routes := transporttest.Routes(e)
	g.AddRoutes(routes, "/sse", transport.SSE, sse.New(g, pool).Serve)
	g.AddRoutes(routes, "/poll", transport.Poll, poll.New(g, pool).Serve)
	api.AddRoutes(routes, api.Options{Monitoring: access.Public, Publisher: g.Publisher, Metrics: g.Metrics, Log: g.Log, Guard: g.Guard,
		MaxFrameBytes: transporttest.FrameLimit})
}

// A result is what became of someone who came with a token: the error's code and message, the rooms
// that they are in, or where the event that they published stands.
type result struct {
	code    wire.ErrorCode
	message string
	rooms   []string
	offset  string
	stream  *stream // of who stays
}

// A stream is a connection that stays.
type stream struct {
	next  func() (wire.ServerFrame, error)
	close func()
}

func refused(code wire.ErrorCode, message string) result { return result{code: code, message: message} }

// connect are the ways to connect, by name.
var connect = map[string]func(t *testing.T, s *transporttest.Server, query, token string) result{
	"WebSocket": func(t *testing.T, s *transporttest.Server, query, token string) result {
		c, answer, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL, "http")+"/ws?"+query, bearer(token))
		if errors.Is(err, websocket.ErrBadHandshake) {
			return problemOf(t, false, all(t, answer.Body))
		}
		testkit.Must(t, err)
		next := func() (wire.ServerFrame, error) {
			_, p, err := c.ReadMessage()
			if err != nil {
				return wire.ServerFrame{}, err
			}
			return wire.DecodeServer(p)
		}
		t.Cleanup(func() { c.Close() })
		f, err := next()
		testkit.Must(t, err)
		if f.Event == wire.EventError {
			var e wire.Error
			testkit.Must(t, json.Unmarshal(f.Data, &e))
			_, err := next()
			if want := map[wire.ErrorCode]int{wire.CodeUnauthenticated: 4401, wire.CodeForbidden: 4403, wire.CodeUnavailable: 1012}[e.Code]; !websocket.IsCloseError(err, want) {
				t.Errorf("after %s the connection ends with %v, want %d", e.Code, err, want)
			}
			return refused(e.Code, e.Message)
		}
		return result{rooms: roomsOf(t, f), stream: &stream{next, func() { c.Close() }}}
	},
	"SSE": func(t *testing.T, s *transporttest.Server, query, token string) result {
		return event(t, s, http.DefaultClient, query, token)
	},
	"SSE over HTTP/2": func(t *testing.T, s *transporttest.Server, query, token string) result {
		return event(t, s, transporttest.HTTP2, query, token)
	},
	"poll": func(t *testing.T, s *transporttest.Server, query, token string) result {
		return polled(t, s, http.DefaultClient, query, token)
	},
	"poll over HTTP/2": func(t *testing.T, s *transporttest.Server, query, token string) result {
		return polled(t, s, transporttest.HTTP2, query, token)
	},
}

// send are the ways to publish, by name.
var send = map[string]func(t *testing.T, s *transporttest.Server, message, token string) result{
	"POST /sse": func(t *testing.T, s *transporttest.Server, m, token string) result {
		return posted(t, s, "/sse", m, token)
	},
	"POST /poll": func(t *testing.T, s *transporttest.Server, m, token string) result {
		return posted(t, s, "/poll", m, token)
	},
	"a frame over WebSocket": func(t *testing.T, s *transporttest.Server, m, token string) result {
		c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL, "http")+"/ws", bearer(token))
		testkit.Must(t, err)
		defer c.Close()
		testkit.Must(t, c.WriteMessage(websocket.TextMessage, []byte(`{"event":"publish","id":1,"data":`+m+`}`)))
		for {
			_, p, err := c.ReadMessage()
			testkit.Must(t, err)
			f, err := wire.DecodeServer(p)
			testkit.Must(t, err)
			if f.Event == wire.EventError || f.Event == wire.EventAck {
				return problemOf(t, f.Event == wire.EventAck, f.Data)
			}
		}
	},
	"HTTP": func(t *testing.T, s *transporttest.Server, m, token string) result {
		var r struct {
			Warehouse, Zone, Event string
			Retain                 bool
			IdempotencyKey         string
		}
		testkit.Must(t, json.Unmarshal([]byte(m), &r))
		path := "/api/v1/warehouses/" + url.PathEscape(r.Warehouse)
		if r.Zone != "" {
			path += "/zones/" + url.PathEscape(r.Zone)
		}
		return postJSON(t, s, path+"/broadcast", fmt.Sprintf(`{"event":%q,"retain":%v}`, r.Event, r.Retain), token,
			"Idempotency-Key", r.IdempotencyKey)
	},
	"a batch": func(t *testing.T, s *transporttest.Server, m, token string) result {
		return postJSON(t, s, "/api/v1/broadcast", `{"messages":[`+m+`]}`, token)
	},
}

func bearer(token string) http.Header {
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	return h
}

// do sends a request with these names and values in its header; an empty value is none.
func do(t *testing.T, through *http.Client, method, address, body, token string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	testkit.Must(t, err)
	r.Header = bearer(token)
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := through.Do(r)
	testkit.Must(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func all(t *testing.T, r io.Reader) []byte {
	t.Helper()
	p, err := io.ReadAll(r)
	testkit.Must(t, err)
	return p
}

func event(t *testing.T, s *transporttest.Server, through *http.Client, query, token string) result {
	answer := do(t, through, http.MethodGet, s.URL+"/sse?"+query, "", token)
	if answer.StatusCode != http.StatusOK {
		return problemOf(t, false, all(t, answer.Body))
	}
	events := transporttest.ReadEvents(answer.Body)
	next := func() (wire.ServerFrame, error) {
		e, err := events.Next()
		if err == nil && e.Name == "close" {
			err = fmt.Errorf("closed: %s", e.Data)
		}
		return e.Frame, err
	}
	f, err := next()
	testkit.Must(t, err)
	return result{rooms: roomsOf(t, f), stream: &stream{next, func() { answer.Body.Close() }}}
}

func polled(t *testing.T, s *transporttest.Server, through *http.Client, query, token string) result {
	answer := do(t, through, http.MethodGet, s.URL+"/poll?wait=0&"+query, "", token)
	p := all(t, answer.Body)
	if answer.StatusCode != http.StatusOK {
		return problemOf(t, false, p)
	}
	var a struct{ Cursor string }
	testkit.Must(t, json.Unmarshal(p, &a))
	cursor, err := wire.ParseCursor(a.Cursor)
	testkit.Must(t, err)
	var r result
	for _, place := range cursor {
		r.rooms = append(r.rooms, place.Room.String())
	}
	return r
}

func roomsOf(t *testing.T, f wire.ServerFrame) (rooms []string) {
	t.Helper()
	var c wire.Connected
	testkit.Must(t, json.Unmarshal(f.Data, &c))
	for _, r := range c.Rooms {
		rooms = append(rooms, r.Room)
	}
	return rooms
}

// problemOf reads an error: a problem over HTTP, the data of an error frame, or that of a batch.
func problemOf(t *testing.T, ok bool, p []byte) result {
	t.Helper()
	var e struct {
		Code                    wire.ErrorCode
		Detail, Message, Offset string
		Data                    struct {
			Code            wire.ErrorCode
			Message, Offset string
		}
		Results []struct {
			Offset string
			Error  *wire.Error
		}
	}
	testkit.Must(t, json.Unmarshal(p, &e))
	switch {
	case ok:
		return result{offset: e.Offset + e.Data.Offset}
	case e.Data.Code != "":
		return refused(e.Data.Code, e.Data.Message)
	case len(e.Results) == 1 && e.Results[0].Error != nil:
		return refused(e.Results[0].Error.Code, e.Results[0].Error.Message)
	case len(e.Results) == 1:
		return result{offset: e.Results[0].Offset}
	}
	return refused(e.Code, e.Detail+e.Message)
}

func posted(t *testing.T, s *transporttest.Server, path, message, token string) result {
	answer := do(t, http.DefaultClient, http.MethodPost, s.URL+path, `{"event":"publish","id":1,"data":`+message+`}`, token)
	return problemOf(t, answer.StatusCode == http.StatusOK, all(t, answer.Body))
}

func postJSON(t *testing.T, s *transporttest.Server, path, body, token string, header ...string) result {
	answer := do(t, http.DefaultClient, http.MethodPost, s.URL+path, body, token, header...)
	p := all(t, answer.Body)
	return problemOf(t, answer.StatusCode == http.StatusOK && !strings.Contains(string(p), `"results"`), p)
}

// issuerOf serves the public half of a key.
func issuerOf(t *testing.T, key crypto.Signer) string {
	t.Helper()
	jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: "one"}})
	testkit.Must(t, err)
	store := jwkset.NewMemoryStorage()
	testkit.Must(t, store.KeyWrite(t.Context(), jwk))
	set, err := store.JSONPublic(t.Context())
	testkit.Must(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) }))
	t.Cleanup(server.Close)
	return server.URL
}
