package subscribe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// An Error is the server's refusal of a subscription, or the end that it gave to one. One that a
// token function makes has a Code and a Detail alone.
type Error struct {
	// Status is the HTTP status; 0 when a stream was ended.
	Status int
	// Close is why a stream was ended; 0 when it never began.
	Close wire.CloseCode
	// Code says to a program what went wrong; empty when the server did not say.
	Code wire.ErrorCode
	// Detail says to a person what has to change.
	Detail string
	// RetryAfter is how long the server asks to wait; 0 when it does not say.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	text := fmt.Sprintf("the server answered %d", e.Status)
	switch {
	case e.Status == 0 && e.Close == 0:
		text = "refused"
	case e.Status == 0:
		text = fmt.Sprintf("the server ended the stream with %d", e.Close)
	}
	if e.Code != "" {
		text += " (" + string(e.Code) + ")"
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// temporary reports whether the same subscription may be accepted later; freshToken says that the
// next request has another token.
func (e *Error) temporary(freshToken bool) bool {
	switch {
	case e.Code == wire.CodeUnauthenticated: // the token function's own is final
		return freshToken && (e.Status != 0 || e.Close != 0)
	case e.Status != 0 && e.Code == "": // a proxy's, which may have another answer soon
		return true
	case e.Status == 0: // a code that is not known here is no reason to give up
		return e.Close != wire.CloseBadFrame && e.Close != wire.CloseForbidden && e.Close != wire.CloseReplaced
	}
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout || e.Status >= 500
}

// readError makes the error of an answer that is not 200.
func readError(response *http.Response) *Error {
	const most = 4096
	body, _ := io.ReadAll(io.LimitReader(response.Body, most))
	var problem struct {
		Code   wire.ErrorCode `json:"code"`
		Detail string         `json:"detail"`
	}
	_ = json.Unmarshal(body, &problem) // of a proxy it may be anything
	e := &Error{Status: response.StatusCode, Code: problem.Code, Detail: problem.Detail}
	if e.Status == http.StatusUnauthorized {
		e.Code = wire.CodeUnauthenticated
	}
	if n, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16); err == nil {
		e.RetryAfter = time.Duration(n) * time.Second
	}
	return e
}

// closed makes the error of the event that ends a stream.
func closed(data []byte) error {
	var c struct {
		Code   wire.CloseCode `json:"code"`
		Reason string         `json:"reason"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("read the end of the stream: %w", err)
	}
	e := &Error{Close: c.Code, Detail: c.Reason}
	if c.Code == wire.CloseUnauthenticated {
		e.Code = wire.CodeUnauthenticated
	}
	return e
}

// withWait adds to err what drain said.
func withWait(err error, after time.Duration) error {
	var ended *Error
	switch {
	case after == 0:
		return err
	case errors.As(err, &ended):
		ended.RetryAfter = after
		return err
	}
	return &Error{Close: wire.CloseRestart, Detail: err.Error(), RetryAfter: after}
}
