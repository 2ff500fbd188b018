// Package body reads the bodies of requests within bounds of size and time.
package body

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// timeout is how long a body may take to come in.
const timeout = 10 * time.Second

// Read returns the body of a request that has at most limit bytes. The error is a *wire.Error.
func Read(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(timeout)) // where it can't be set there is no connection to hold open
	defer control.SetReadDeadline(time.Time{})
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
