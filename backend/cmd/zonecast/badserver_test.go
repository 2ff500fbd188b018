package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A violation is what a bad server does to a server that keeps the protocol. nil does nothing.
type violation struct {
	frames  func() func(frame string) []string // made for each connection: what comes instead of a frame
	sent    func(frame string) string          // what the server gets instead of a client's frame, or a body
	request func(r *http.Request)
	answer  func(r *http.Request, a *httpAnswer) // those that are no stream
	header  func(h http.Header)
	close   func(code int) int
	plain   bool // no subprotocol is chosen
}

type httpAnswer struct {
	status int
	body   string
}

// A badServer stands between the suite and a server that keeps the protocol, and breaks it.
type badServer struct {
	violation
	good string
}

func startBad(t *testing.T, good string, v violation) string {
	s := httptest.NewServer(&badServer{v, good})
	t.Cleanup(s.Close)
	return s.URL
}

func (b *badServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.request != nil {
		b.request(r)
	}
	if r.URL.Path == "/ws" && websocket.IsWebSocketUpgrade(r) {
		b.webSocket(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if b.sent != nil {
		body = []byte(b.sent(string(body)))
	}
	request, err := http.NewRequestWithContext(r.Context(), r.Method, b.good+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	request.Header = r.Header.Clone()
	request.Header.Del("Accept-Encoding")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.Header().Del("Content-Length")
	if b.header != nil {
		b.header(w.Header())
	}
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
		b.stream(w, answer.Body)
		return
	}
	b.write(w, r, answer)
}

// write answers with what came, but for what is to be broken.
func (b *badServer) write(w http.ResponseWriter, r *http.Request, answer *http.Response) {
	text, _ := io.ReadAll(answer.Body)
	a := httpAnswer{answer.StatusCode, string(text)}
	if r.URL.Path == "/poll" && b.frames != nil {
		a.body = b.poll(text)
	}
	if b.answer != nil {
		b.answer(r, &a)
	}
	w.WriteHeader(a.status)
	fmt.Fprint(w, a.body)
}

func (b *badServer) poll(text []byte) string {
	var fields map[string]json.RawMessage
	var frames []json.RawMessage
	if json.Unmarshal(text, &fields) != nil || json.Unmarshal(fields["messages"], &frames) != nil {
		return string(text)
	}
	change := b.frames()
	all := []string{}
	for _, f := range frames {
		all = append(all, change(string(f))...)
	}
	return fmt.Sprintf(`{"cursor":%s,"node":%s,"serverTime":%s,"messages":[%s]}`, fields["cursor"], fields["node"], fields["serverTime"], strings.Join(all, ","))
}

func (b *badServer) webSocket(w http.ResponseWriter, r *http.Request) {
	dialer := websocket.Dialer{Subprotocols: websocket.Subprotocols(r)}
	header := http.Header{}
	if token := r.Header.Get("Authorization"); token != "" {
		header.Set("Authorization", token)
	}
	back, answer, err := dialer.DialContext(r.Context(), "ws"+strings.TrimPrefix(b.good, "http")+r.URL.RequestURI(), header)
	if err != nil {
		if answer == nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		b.write(w, r, answer)
		return
	}
	defer back.Close()
	upgrader := websocket.Upgrader{Subprotocols: []string{"zonecast"}}
	if b.plain {
		upgrader.Subprotocols = nil
	}
	front, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer front.Close()
	go func() {
		defer back.Close()
		for {
			kind, text, err := front.ReadMessage()
			if err == nil && b.sent != nil {
				text = []byte(b.sent(string(text)))
			}
			if err != nil || back.WriteMessage(kind, text) != nil {
				return
			}
		}
	}()
	change := func(f string) []string { return []string{f} }
	if b.frames != nil {
		change = b.frames()
	}
	for {
		_, text, err := back.ReadMessage()
		if end, ok := err.(*websocket.CloseError); ok && end.Code < 5000 && end.Code != websocket.CloseAbnormalClosure {
			code := end.Code
			if b.close != nil {
				code = b.close(code)
			}
			_ = front.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, end.Text), time.Now().Add(time.Second))
		}
		if err != nil {
			return
		}
		for _, f := range change(string(text)) {
			if front.WriteMessage(websocket.TextMessage, []byte(f)) != nil {
				return
			}
		}
	}
}

func (b *badServer) stream(w http.ResponseWriter, body io.Reader) {
	change := func(f string) []string { return []string{f} }
	if b.frames != nil {
		change = b.frames()
	}
	lines := bufio.NewReader(body)
	event := ""
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			fmt.Fprint(w, event+line)
			return
		}
		if event += line; line != "\n" {
			continue
		}
		if before, data, ok := strings.Cut(event, "data: "); ok && !strings.Contains(before, "event: ") {
			frame, rest, _ := strings.Cut(data, "\n")
			for _, f := range change(frame) {
				fmt.Fprint(w, before+"data: "+f+"\n"+rest)
			}
		} else {
			fmt.Fprint(w, event)
		}
		w.(http.Flusher).Flush()
		event = ""
	}
}
