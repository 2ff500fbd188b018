// Package body reads the bodies of requests within bounds of size and time.
//
//	net/http ──▶ Timed ──▶ routes ── Read ──▶ the body, or what the caller must change
package body

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// timeout is how long a body may take to come in.
const timeout = 10 * time.Second

// Timed bounds how long the bodies of requests may take, those that no handler reads included: over
// HTTP/1.1 net/http reads their rest itself, before it answers, and waits for it without end. The
// deadline ends with the body, since net/http then watches for the end of the connection.
func Timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(timeout)) // where it can't be set there is no connection to hold open
		timed := new(http.Request)                           // net/http goes on to look at its own
		*timed = *r
		timed.Body = &timedBody{r.Body, control}
		next.ServeHTTP(w, timed)
	})
}

// A timedBody takes the deadline back at its end.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// ParseForm reads the form of a request, if it has one: of at most limit bytes, like any other body
// that is read afterwards. The error is a *wire.Error.
func ParseForm(w http.ResponseWriter, r *http.Request, limit int64) (err error) {
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind {
	case "application/x-www-form-urlencoded":
		err = r.ParseForm()
	case "multipart/form-data":
		err = r.ParseMultipartForm(limit)
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return wire.Errorf(wire.CodeTooLarge, "the form has more than the %d bytes that are allowed here: choose less at once", limit)
	case err != nil:
		return wire.Errorf(wire.CodeInvalidData, "the form can't be read: go back and send it again")
	}
	return nil
}

// Read returns the body of a request that has at most limit bytes. The error is a *wire.Error.
func Read(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	p, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(limit)))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, wire.Errorf(wire.CodeTooLarge, "the body has more than the %d bytes that are allowed here: send less at once", limit)
	case err != nil:
		return nil, wire.Errorf(wire.CodeInvalidData, "the body could not be read to its end: send all of it within %v", timeout)
	}
	return p, nil
}
