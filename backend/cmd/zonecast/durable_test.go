package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// durableAnswer is how a durable publication was answered, whichever way it came.
type durableAnswer struct {
	status   int // over HTTP
	code     wire.ErrorCode
	accepted *wire.Position
	offset   string
}

// durableWays publish durably in all ways that there are.
var durableWays = map[string]func(t *testing.T, s *server, durable string) durableAnswer{
	"HTTP": func(t *testing.T, s *server, durable string) (a durableAnswer) {
		response, text := s.ask(t, http.MethodPost, "/api/v1/warehouses/w/zones/a/broadcast", `{"event":"E"`+durable+`}`)
		var p struct {
			Code     wire.ErrorCode
			Accepted *wire.Position
			Offset   string
		}
		testkit.Must(t, json.Unmarshal(text, &p))
		return durableAnswer{response.StatusCode, p.Code, p.Accepted, p.Offset}
	},
	"a batch": func(t *testing.T, s *server, durable string) (a durableAnswer) {
		one := `{"warehouse":"w","zone":"a","event":"E"` + durable + `}`
		_, text := s.ask(t, http.MethodPost, "/api/v1/broadcast", `{"messages":[`+one+`,`+one+`]}`)
		var p struct {
			Results []struct {
				Offset string
				Error  *wire.Error
			}
		}
		testkit.Must(t, json.Unmarshal(text, &p))
		if len(p.Results) != 2 || (p.Results[0].Error == nil) != (p.Results[1].Error == nil) {
			t.Fatalf("the batch was answered with %s", text)
		}
		a.offset = p.Results[1].Offset
		if e := p.Results[1].Error; e != nil {
			a.code, a.accepted = e.Code, e.Accepted
		}
		return a
	},
	"a frame by POST": func(t *testing.T, s *server, durable string) (a durableAnswer) {
		response, text := s.ask(t, http.MethodPost, "/poll", `{"event":"publish","data":{"warehouse":"w","zone":"a","event":"E"`+durable+`},"id":1}`)
		a = frameAnswer(t, text)
		a.status = response.StatusCode
		return a
	},
	"a frame over WebSocket": func(t *testing.T, s *server, durable string) durableAnswer {
		conn, _, err := s.dial()
		testkit.Must(t, err)
		defer conn.Close()
		testkit.Must(t, conn.WriteMessage(websocket.TextMessage,
			[]byte(`{"event":"publish","data":{"warehouse":"w","zone":"a","event":"E"`+durable+`},"id":1}`)))
		for {
			_, text, err := conn.ReadMessage()
			testkit.Must(t, err)
			if strings.Contains(string(text), `"id":1`) {
				return frameAnswer(t, text)
			}
		}
	},
}

func frameAnswer(t *testing.T, text []byte) durableAnswer {
	t.Helper()
	var f struct {
		Data struct {
			wire.Error
			Offset string
		}
	}
	testkit.Must(t, json.Unmarshal(text, &f))
	return durableAnswer{code: f.Data.Code, accepted: f.Data.Accepted, offset: f.Data.Offset}
}

// However it was published, a durable event has one of three answers, and each says whether it was
// published.
func TestDurablePublicationsAreAnsweredHonestly(t *testing.T) {
	redis := func(args ...string) string {
		return "--redis-url=" + stacktest.Start(t, stack.Options{Redis: true, RedisProgram: "valkey-server", RedisArgs: args}).RedisURL
	}
	confirms, never := redis("--appendfsync", "always"), redis("--appendfsync", "no")
	for _, tt := range []struct {
		name    string
		flags   []string
		durable string
		code    wire.ErrorCode
		status  int
	}{
		{"confirmed", []string{confirms, "--durable-timeout=20s"}, `,"durable":true`, "", http.StatusOK},
		{"not confirmed", []string{never, "--durable-timeout=200ms"}, `,"durable":true`, wire.CodeNotDurable, http.StatusGatewayTimeout},
		{"all of them are durable", []string{never, "--durable-timeout=200ms", "--publish-durable"}, ``, wire.CodeNotDurable, http.StatusGatewayTimeout},
		{"others don't wait", []string{never, "--durable-timeout=200ms"}, ``, "", http.StatusOK},
		{"in memory", nil, `,"durable":true`, wire.CodeDurableUnsupported, http.StatusNotImplemented},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serving(t, tt.flags...)
			for way, publish := range durableWays {
				got := publish(t, s, tt.durable)
				if got.code != tt.code || got.status != 0 && got.status != tt.status {
					t.Errorf("%s: answered %d %q, want %d %q", way, got.status, got.code, tt.status, tt.code)
				}
				if accepted := tt.code == wire.CodeNotDurable; (got.accepted != nil) != accepted || accepted && got.accepted.Room != "zone:w:a" {
					t.Errorf("%s: says that it was accepted at %v", way, got.accepted)
				}
				if (got.offset != "") != (tt.code == "") {
					t.Errorf("%s: the offset is %q", way, got.offset)
				}
			}
			waits := s.scrape(t)[`zonecast_durable_wait_seconds_count{result="timeout"}`]
			if want := map[wire.ErrorCode]float64{wire.CodeNotDurable: 5}[tt.code]; waits != want {
				t.Errorf("%v waits ended without a confirmation, want %v", waits, want)
			}
		})
	}
}
