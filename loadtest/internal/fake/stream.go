package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// serveSSE lets a client join over Server-Sent Events; with a cursor it gets what it missed first.
func (s *Server) serveSSE(w http.ResponseWriter, r *http.Request) {
	if !s.admit(w, r) {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	over := make(chan struct{})
	out := http.NewResponseController(w)
	m := &member{put: func(p []byte) {
		fmt.Fprintf(w, "data: %s\n\n", p)
		_ = out.Flush()
	}}
	m.end = func(code wire.CloseCode) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.put == nil {
			return
		}
		if code != 0 {
			fmt.Fprintf(w, "event: close\ndata: {\"code\":%d,\"reason\":\"restarting\"}\n\n", code)
			_ = out.Flush()
		}
		m.put = nil
		close(over)
	}
	if !s.enter(m, r) {
		return
	}
	select {
	case <-over:
	case <-r.Context().Done():
	}
	s.leave(m)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put = func([]byte) {}
}

// resume says where the room stands, sends what was missed, and adds the member to the room.
func (s *Server) resume(m *member, offset string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	after, _ := wire.ParseOffset(offset)
	now := wire.Offset{Epoch: s.epoch, N: uint64(len(s.history))}
	m.write(wire.AppendFrame(nil, wire.EventConnected, wire.Connected{Rooms: []wire.Position{wire.PositionOf(Room, now)}}))
	if after.Epoch != s.epoch {
		after = wire.Offset{Epoch: s.epoch}
		m.write(wire.AppendFrame(nil, wire.EventGap, wire.Gap{Room: Room.String(), From: offset, To: after.String()}))
	}
	for _, missed := range s.history[min(after.N, uint64(len(s.history))):] {
		m.write(wire.AppendMessage(nil, &missed))
	}
	s.members = append(s.members, m)
}

// admit says no to those who may not come in.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case !authorized(r, s.faults.Token):
		refuse(w, http.StatusUnauthorized, "the token is missing or wrong")
	case time.Now().Before(locked(s, &s.back)):
		refuse(w, http.StatusServiceUnavailable, "restarting")
	default:
		return true
	}
	return false
}

func cursor(r *http.Request) (offset string) {
	_, offset, _ = strings.Cut(r.URL.Query().Get("cursor"), "@")
	return offset
}

// servePoll answers with what went out since, faults included. Its cursors' numbers count frames.
func (s *Server) servePoll(w http.ResponseWriter, r *http.Request) {
	if !s.admit(w, r) {
		return
	}
	wait := 25 * time.Second
	if ms, err := strconv.Atoi(r.URL.Query().Get("wait")); err == nil {
		wait = time.Duration(ms) * time.Millisecond
	}
	o, err := wire.ParseOffset(cursor(r))
	first := err != nil
	var news [][]byte
	for timeout := time.After(wait); ; {
		s.mu.Lock()
		closed, more := s.closed, s.more
		if first {
			o.N = uint64(len(s.frames))
		}
		news = s.frames[min(o.N, uint64(len(s.frames))):]
		s.mu.Unlock()
		if first || len(news) > 0 || closed || wait == 0 {
			break
		}
		select {
		case <-more:
			continue
		case <-timeout:
		case <-r.Context().Done():
		}
		wait = 0
	}
	answer := struct {
		Cursor   string            `json:"cursor"`
		Messages []json.RawMessage `json:"messages"`
	}{Cursor: Room.String() + "@" + wire.Offset{Epoch: s.epoch, N: o.N + uint64(len(news))}.String(), Messages: []json.RawMessage{}}
	for _, frame := range news {
		answer.Messages = append(answer.Messages, frame)
	}
	_ = json.NewEncoder(w).Encode(answer)
}
