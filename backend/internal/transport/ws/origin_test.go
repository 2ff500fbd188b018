package ws_test

import (
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
)

// A browser lets a page open a WebSocket to any host: the server has to look at the page's origin.
func TestPagesOfOtherOriginsAreKeptOutUnlessNamed(t *testing.T) {
	const mine = "https://wall.example"
	tests := []struct {
		name    string
		allowed []string
		origin  string
		want    int
	}{
		{name: "another host when none is named", origin: "https://elsewhere.example", want: 403},
		{name: "another port of this machine", origin: "http://127.0.0.1:1", want: 403},
		{name: "a page of the server when none is named", origin: "same", want: 101},
		{name: "a file", origin: "null", want: 403},
		{name: "any when all are let in", allowed: []string{"*"}, origin: "https://elsewhere.example", want: 101},
		{name: "a program", want: 101},
		{name: "a program beside a list", allowed: []string{mine}, want: 101},
		{name: "a page of the list", allowed: []string{mine}, origin: mine, want: 101},
		{name: "a page of the server itself", allowed: []string{mine}, origin: "same", want: 101},
		{name: "any other", allowed: []string{mine}, origin: "https://elsewhere.example", want: 403},
		{name: "one that looks like it", allowed: []string{mine}, origin: mine + ".evil.example", want: 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, options{Options: transporttest.Options{Origins: tt.allowed}})
			header := http.Header{}
			switch tt.origin {
			case "":
			case "same":
				header.Set("Origin", "http://"+s.address)
			default:
				header.Set("Origin", tt.origin)
			}
			conn, answer, _ := websocket.DefaultDialer.Dial("ws://"+s.address+"/ws", header)
			if conn != nil {
				conn.Close()
			}
			if answer == nil || answer.StatusCode != tt.want {
				t.Errorf("answered %+v, want %d", answer, tt.want)
			}
			if n := s.Counter("zonecast_connections_refused_total", "reason=forbidden"); (n == 1) != (tt.want == 403) {
				t.Errorf("%v refusals are counted", n)
			}
		})
	}
}
