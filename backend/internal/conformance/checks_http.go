package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What is promised of requests over HTTP: queries, streams, polls, and who is let in.

func refusesQuery(r *run) error {
	path := map[string]string{WebSocket: "/ws", SSE: "/sse", Poll: "/poll"}[r.transport]
	queries := []struct{ query, code string }{
		{"warehouse=a+b", "invalid_room"},
		{"room=zone:only-two", "invalid_room"},
		{"cursor=nonsense", "invalid_offset"},
		{"cursor=" + url.QueryEscape(r.room+"@k3f9-1,"+r.room+"@k3f9-2"), "invalid_offset"},
	}
	for _, query := range goldenQueries() {
		queries = append(queries, struct{ query, code string }{query: query})
	}
	for _, tt := range queries {
		a := &answer{}
		if r.transport == WebSocket {
			conn, response, err := r.dial(tt.query)
			if err == nil {
				conn.Close()
				return fmt.Errorf("the handshake with %s was accepted, want 400", tt.query)
			}
			if response == nil {
				return err
			}
			var body bytes.Buffer
			_, _ = body.ReadFrom(response.Body)
			a.status, a.header, a.body = response.StatusCode, response.Header, body.Bytes()
		} else {
			var err error
			if a, err = r.do(r.ctx, http.MethodGet, path+"?"+tt.query, r.Token, ""); err != nil {
				return err
			}
		}
		p, err := a.problem()
		if err != nil {
			return fmt.Errorf("%s?%s: %w", path, tt.query, err)
		}
		if a.status != http.StatusBadRequest || tt.code != "" && p.Code != tt.code {
			return fmt.Errorf("%s?%s was answered with %d %s, want 400 %s", path, tt.query, a.status, p.Code, tt.code)
		}
	}
	return nil
}

func streamHeaders(r *run) error {
	s, err := r.openSSE(r.inRoom())
	if err != nil {
		return err
	}
	r.open = append(r.open, s)
	if got := s.header.Get("Cache-Control"); !strings.Contains(got, "no-store") || !strings.Contains(got, "no-transform") {
		return fmt.Errorf("Cache-Control is %q, want no-store, no-transform", got)
	}
	if s.retry == "" {
		return errors.New("connected came without retry, want 2 to 4 s in ms")
	}
	return nil
}

func lastEventID(r *run) error {
	last, err := r.publishNumbered(1, 3)
	if err != nil {
		return err
	}
	was, header := where{cursor: cursor{r.room: {last.epoch, 0}}}, cursor{r.room: {last.epoch, 2}}
	s, err := r.openSSE(was, "Last-Event-ID", header.String())
	if err != nil {
		return err
	}
	r.open = append(r.open, s)
	s.at[r.room] = header[r.room]
	return r.wantNumbered(s, 3, 3, last)
}

func pollAtOnce(r *run) error {
	last, err := r.publishNumbered(1, 1)
	if err != nil {
		return err
	}
	began := time.Now()
	p, err := r.poll(where{cursor: cursor{r.room: last}}, 0)
	if err != nil {
		return err
	}
	if at, err := parseCursor(*p.Cursor); err != nil || at[r.room] != last || len(p.Messages) > 0 {
		return fmt.Errorf("the answer has the cursor %s and %d messages, want %s and none", *p.Cursor, len(p.Messages), last)
	}
	if took := time.Since(began); took > 5*time.Second {
		return fmt.Errorf("the answer took %v", took)
	}
	return nil
}

func pollAgain(r *run) error {
	last, err := r.publishNumbered(1, 2)
	if err != nil {
		return err
	}
	from := where{cursor: cursor{r.room: {last.epoch, 0}}}
	var texts [2]string
	for i := range texts {
		p, err := r.poll(from, time.Second)
		if err != nil {
			return err
		}
		for _, m := range p.Messages {
			texts[i] += string(m) + "\n"
		}
		texts[i] += *p.Cursor
	}
	if texts[0] != texts[1] || strings.Count(texts[0], "\n") != 2 {
		return fmt.Errorf("the same poll was answered with\n%s\nand\n%s\nwant the same two events", texts[0], texts[1])
	}
	return nil
}

func refusesStrangers(r *run) error {
	stranger := *r.server
	stranger.Token = ""
	without := &run{server: &stranger, ctx: r.ctx, transport: r.transport, zone: r.zone, room: r.room}
	if r.transport != WebSocket {
		a, err := stranger.do(r.ctx, http.MethodGet, "/"+r.transport+"?"+r.inRoom().query(), "", "")
		if err != nil {
			return err
		}
		if p, err := a.problem(); err != nil || a.status != http.StatusUnauthorized || p.Code != "unauthenticated" {
			return fmt.Errorf("without a token: %d %s (%v), want 401 unauthenticated", a.status, p.Code, err)
		}
		return nil
	}
	conn, _, err := without.dial(r.inRoom().query())
	if err != nil {
		return fmt.Errorf("without a token the handshake fails (%w), want an error frame and close 4401", err)
	}
	defer conn.Close()
	s := &webSocket{conn: conn, ctx: r.ctx}
	f, err := s.read()
	if err != nil {
		return err
	}
	var e errorData
	if err := f.into(&e); err != nil || f.Event != "error" || e.Code != "unauthenticated" {
		return fmt.Errorf("without a token %.200s came, want an error with unauthenticated", f.text)
	}
	return wantEnd(s, 4401)
}
