//go:build linux

package client

import (
	"errors"
	"fmt"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
)

// ErrTimeout is the end of a connection that the load tester waited for too long.
var ErrTimeout = failure.New("timeout", "the server did not answer in time")

var (
	errDeflate = errors.New("the server does not deflate")
	errEnded   = errors.New("the connection ended")
)

// CloseError is the end of a connection that the server closed with a code.
type CloseError struct {
	Code   int
	Reason string
}

func (e *CloseError) Error() string {
	if e.Reason == "" {
		return "the server " + e.Kind()
	}
	return fmt.Sprintf("the server %s: %s", e.Kind(), e.Reason)
}

func (e *CloseError) Kind() string {
	if name := wire.CloseCode(e.Code).String(); name != "unknown" {
		return fmt.Sprintf("closed with %d %s", e.Code, name)
	}
	return fmt.Sprintf("closed with %d", e.Code)
}

// ShouldReconnect reports whether a connection that ended with err may be replaced: not when its
// close code says that the next one would meet the same end.
func ShouldReconnect(err error) bool {
	var closed *CloseError
	if !errors.As(err, &closed) {
		return true
	}
	code := wire.CloseCode(closed.Code)
	return code.Reconnect() || code.String() == "unknown"
}

// A ProtocolError is a violation of the protocol by the server.
type ProtocolError struct{ What string }

func (e *ProtocolError) Error() string { return "the server does not speak the protocol: " + e.What }

func (e *ProtocolError) Kind() string { return "not the protocol" }
