package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// An Error is the server's refusal of a request or of one message in a batch. Over HTTP it is
// problem details as of RFC 9457, or what could be made of an answer in another form (a proxy's
// error page, say).
type Error struct {
	// Status is the HTTP status; 0 for one message of a batch that was answered as a whole.
	Status int
	// Code says to a program what went wrong; "" when the answer has none.
	Code wire.ErrorCode
	// Type is the problem's URI, or "".
	Type string
	// Title says in short what went wrong, Detail what the caller has to change; both may be empty.
	Title  string
	Detail string
	// RetryAfter is how long the server asks to wait; 0 when it does not say.
	RetryAfter time.Duration
	// Accepted is where the message stands that was accepted, with wire.CodeNotDurable; else nil.
	Accepted *wire.Position
}

func (e *Error) Error() string {
	text := "the message was refused"
	if e.Status != 0 {
		text = fmt.Sprintf("the server answered %d", e.Status)
	}
	switch {
	case e.Title != "":
		text += " " + e.Title
	case e.Status != 0 && http.StatusText(e.Status) != "":
		text += " " + http.StatusText(e.Status)
	}
	if e.Code != "" {
		text += " (" + string(e.Code) + ")"
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Temporary reports whether the same message may be accepted later. 502 and 504 are what a network
// error behind a proxy looks like.
func (e *Error) Temporary() bool {
	if e.Code == wire.CodeLimitReached && e.RetryAfter == 0 { // of what is kept: waiting changes nothing
		return false
	}
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case 0:
		return e.Code == wire.CodeUnavailable || e.Code == wire.CodeRateLimited || e.RetryAfter > 0
	}
	return false
}

// networkError is an attempt that brought no complete answer.
type networkError struct{ err error }

func (e *networkError) Error() string { return e.err.Error() }
func (e *networkError) Unwrap() error { return e.err }

// temporary reports whether another attempt may succeed, and how long the server asks to wait
// before it.
func temporary(err error) (after time.Duration, ok bool) {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.RetryAfter, refused.Temporary()
	}
	var network *networkError
	return 0, errors.As(err, &network)
}

// readError makes the error of an answer that is not 200.
func readError(res *http.Response, body []byte) *Error {
	e := &Error{}
	// "problem+json" is what the contract promises; a JSON body that is a problem is as good.
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err == nil &&
		(kind == "application/problem+json" || kind == "application/json") {
		var problem struct {
			Type   string         `json:"type"`
			Title  string         `json:"title"`
			Detail string         `json:"detail"`
			Code   wire.ErrorCode `json:"code"`
			// Accepted is the room and the offset of a message that was accepted all the same.
			Accepted *wire.Position `json:"accepted"`
		}
		if json.Unmarshal(body, &problem) == nil {
			*e = Error{Type: clip(problem.Type), Title: clip(problem.Title), Detail: clip(problem.Detail),
				Code: wire.ErrorCode(clip(string(problem.Code))), Accepted: problem.Accepted}
		}
	}
	// Not the body's: a proxy may have changed it, and the header is what counts.
	e.Status = res.StatusCode
	e.RetryAfter = parseRetryAfter(res.Header.Get("Retry-After"), time.Now())
	return e
}

// clip bounds a text from the server, so that it is fit for a log line.
func clip(s string) string {
	const most = 512
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%.*s…", most/4, s) // counts characters, and a character has at most 4 bytes
}

// parseRetryAfter reads the header of RFC 9110 section 10.2.3: seconds or a date. What can't be
// read asks for no wait.
func parseRetryAfter(s string, now time.Time) time.Duration {
	const most = 24 * time.Hour // more is as good as never, and does not overflow
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, most)
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(t.Sub(now), 0), most)
	}
	return 0
}
