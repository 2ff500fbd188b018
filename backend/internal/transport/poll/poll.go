// Package poll serves clients by long polling, which every network lets through.
//
//	GET /poll?…&cursor= ──▶ Handler ── Admit, Open ──▶ Gate ──▶ Session of the hub, for the time of one request
//	hub ──▶ outbox ──▶ answer ──▶ {"cursor":"…","messages":[…]}
//
// Nothing is kept between two requests: the cursor says where the client stands, and any instance
// can answer the next one. What is in the answer and where the cursor stands change in one step, so
// nothing is lost or told twice wherever it breaks.
package poll

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// longestWait is how long a poll waits for something to come, unless it asks for less. Proxies
// give up after 30 s or more.
const longestWait = 25 * time.Second

// A Handler answers polls.
type Handler struct {
	gate *transport.Gate
	pool *outbox.Pool
}

// New returns a handler.
func New(gate *transport.Gate, pool *outbox.Pool) *Handler {
	gate.AddTransport(transport.Poll)
	return &Handler{gate, pool}
}

// Serve is the handler of GET /poll.
func (h *Handler) Serve(c echo.Context) error {
	visit, err := h.gate.Admit(c)
	if err != nil {
		return err
	}
	defer visit.Leave()
	wait, err := waitOf(c.Request())
	if err != nil {
		return h.gate.Refuse(err)
	}
	a, err := h.collect(c, visit, wait)
	if err != nil {
		return err
	}
	return h.write(c, a)
}

// waitOf reads ?wait=, in milliseconds.
func waitOf(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("wait")
	if text == "" {
		return longestWait, nil
	}
	ms, err := strconv.Atoi(text)
	if err != nil || ms < 0 || ms > int(longestWait.Milliseconds()) {
		return 0, wire.Errorf(wire.CodeInvalidData, "wait is %.20q: give milliseconds from 0 to %d, or leave it out", text, longestWait.Milliseconds())
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// collect joins the rooms and gathers what is there at once, or what comes first within wait.
func (h *Handler) collect(c echo.Context, visit *transport.Admission, wait time.Duration) (*answer, error) {
	ctx := c.Request().Context()
	isNew := func(j hub.Join) bool { return j.After.IsZero() || j.Retained }
	// Retained events come first: a long replay can't crowd them out.
	slices.SortStableFunc(visit.Joins, func(x, y hub.Join) int { return order(isNew(x)) - order(isNew(y)) })
	atOnce := len(visit.Joins) == 0 || isNew(visit.Joins[0])

	joining, cancel := context.WithTimeout(ctx, transport.ActionTimeout)
	defer cancel()
	response := c.Response()
	a := newAnswer(h.pool.MaxQueuedBytes()/16, &parts{response: response, control: http.NewResponseController(response)}, cancel)
	queue := h.pool.NewQueue(a, encoding, a)
	s := visit.Open(queue)
	defer s.End()
	s.Authorize(visit.Who)
	announced := false
	err := s.Join(joining, visit.Joins, func(places wire.Cursor) {
		announced = true
		a.begin(visit.Cursor(places))
	})
	if !announced {
		return nil, err
	}
	if err == nil && !atOnce {
		a.await(ctx, wait)
	}
	s.Close() // the session leaves its rooms: nothing comes in any more
	queue.Close(wire.CloseGoingAway, "the poll is answered")
	<-a.done
	a.end()
	a.why = queue.Code()
	switch {
	case a.parts.begun: // it can't be refused any more; the cursor says what is missing
		return a, nil
	case a.why == wire.CloseReplaced: // whoever comes back resumes from the cursor of this poll
		return nil, wire.Errorf(wire.CodeReplaced, "a newer connection of the same user took this one's place (USER_LIMIT_POLICY=replace)")
	case a.why == wire.CloseForbidden:
		return nil, wire.Errorf(wire.CodeForbidden, "an operator has ended this connection: don't come back")
	case len(a.body) > 0 || a.full:
		return a, nil
	case err != nil:
		return nil, err
	case a.why == wire.CloseUnauthenticated:
		return nil, wire.Errorf(wire.CodeUnauthenticated, "the token has expired or was revoked: poll with a new one")
	}
	return a, nil
}

// order is 0 for what comes first.
func order(first bool) int {
	if first {
		return 0
	}
	return 1
}

// write sends the answer: where the client stands, and the frames that lead there. An instance that
// leaves tells after how many milliseconds to poll elsewhere.
func (h *Handler) write(c echo.Context, a *answer) error {
	node, _ := json.Marshal(h.gate.Node) // a text
	limits, _ := json.Marshal(h.gate.FrameLimits())
	cursor := append(a.cursor.Append([]byte(`"cursor":"`)), '"')
	after := fmt.Appendf(nil, `"node":%s,"serverTime":%d,"limits":%s,"protocol":%d`, node, time.Now().UnixMilli(), limits, wire.ProtocolVersion)
	if a.why == wire.CloseRestart {
		after = fmt.Appendf(after, `,"retryAfter":%d`, transport.ReconnectDelay(transport.SpreadWhenPaced).Milliseconds())
	}
	var all [][]byte // byte for byte: json.Marshal would compact the frames, and no copy of what a client may be slow to take
	if a.parts.begun {
		all = [][]byte{a.body, []byte("],"), cursor, []byte(","), after, []byte("}")}
		defer func() { _ = a.parts.control.SetWriteDeadline(time.Time{}) }() // the connection may be used again
		_ = a.parts.control.SetWriteDeadline(time.Now().Add(transport.ActionTimeout))
	} else {
		messages := []byte("[")
		if len(a.body) > 0 {
			messages, a.body[0] = a.body, '['
		}
		all = [][]byte{[]byte("{"), cursor, []byte(`,"messages":`), messages, []byte("],"), after, []byte("}")}
		length := 0
		for _, p := range all {
			length += len(p)
		}
		setHeader(c.Response().Header())
		c.Response().Header().Set("Content-Length", strconv.Itoa(length))
		c.Response().WriteHeader(http.StatusOK)
	}
	for _, p := range all {
		if _, err := c.Response().Write(p); err != nil {
			h.gate.Log.Debug("answer not written", "error", err)
			return nil
		}
	}
	c.Response().Flush()
	return nil
}
