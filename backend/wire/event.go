package wire

import "fmt"

// Events that a client sends.
const (
	EventSubscribe    = "subscribe"
	EventUnsubscribe  = "unsubscribe"
	EventPublish      = "publish"
	EventEcho         = "echo"
	EventAuthenticate = "authenticate"
)

// Events that the server sends on its own behalf.
const (
	EventConnected = "connected"
	EventHeartbeat = "heartbeat"
	EventAck       = "ack"
	EventError     = "error"
	EventGap       = "gap"
	EventDrain     = "drain"
	EventConflated = "conflated"
	// EventScreen tells a wall screen what an operator wants of it. No name of that form could ever
	// be published.
	EventScreen = "@screen"
)

// Well-known events that warehouse services publish. Any other that [CheckEvent] accepts works as
// well.
const (
	EventShiftSnapshot = "SHIFT_SNAPSHOT"
	EventZoneUpdate    = "ZONE_UPDATE"
	EventAlert         = "ALERT"
	// EventAlertAcknowledged tells that someone has seen to an alert: {"id","by","at"}.
	EventAlertAcknowledged = "ALERT_ACKNOWLEDGED"
	// EventAlertEscalated tells that nobody has seen to an alert for too long: {"id","at"}.
	EventAlertEscalated = "ALERT_ESCALATED"
)

// MaxEventLen is the most characters that the name of an event may have.
const MaxEventLen = 64

// ClientEvents lists what a client may send, in the order of the documentation.
func ClientEvents() []string {
	return []string{EventSubscribe, EventUnsubscribe, EventPublish, EventEcho, EventAuthenticate}
}

// IsReserved reports whether the protocol uses the name itself, so that nobody can publish it.
// Names that transports and client libraries give a meaning of their own (Server-Sent Events'
// "message", Socket.IO's "connect") are among them.
func IsReserved(event string) bool {
	switch event {
	case EventSubscribe, EventUnsubscribe, EventPublish, EventEcho, EventAuthenticate,
		EventConnected, EventHeartbeat, EventAck, EventError, EventGap, EventDrain, EventConflated, EventScreen,
		"connect", "connect_error", "disconnect", "disconnecting", "message", "open", "close", "ping", "pong":
		return true
	}
	return false
}

// CheckEvent reports whether a service may publish an event of this name: 1 to 64 characters of A-Z
// a-z 0-9 . _ - : that the protocol does not use itself. The error is an *[Error] with
// [CodeInvalidEvent].
func CheckEvent(event string) error {
	switch {
	case event == "":
		return Errorf(CodeInvalidEvent, `event is missing: name it, like "ZONE_UPDATE"`)
	case len(event) > MaxEventLen:
		return Errorf(CodeInvalidEvent, "event name has %d characters: at most %d are allowed", len(event), MaxEventLen)
	case IsReserved(event):
		return Errorf(CodeInvalidEvent, "event %q is used by the protocol itself: choose another name", event)
	}
	for i := 0; i < len(event); i++ {
		if c := event[i]; !isNameByte(c) && c != ':' {
			return Errorf(CodeInvalidEvent, "event name %s: only A-Z a-z 0-9 . _ - : are allowed", quote(event))
		}
	}
	return nil
}

// CheckConflate reports whether a publication may be conflated under this name: up to 64 characters
// of A-Z a-z 0-9 . _ - : or empty for not at all. The error is an *[Error] with [CodeInvalidData].
func CheckConflate(name string) error {
	if len(name) > MaxEventLen {
		return Errorf(CodeInvalidData, "conflate has %d characters: at most %d are allowed", len(name), MaxEventLen)
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; !isNameByte(c) && c != ':' {
			return Errorf(CodeInvalidData, "conflate is %s: only A-Z a-z 0-9 . _ - : are allowed", quote(name))
		}
	}
	return nil
}

// An ErrorCode says to a program what went wrong; [Error.Message] says it to a person.
type ErrorCode string

// The codes that error frames carry.
const (
	CodeBadFrame            ErrorCode = "bad_frame"            // malformed frame
	CodeUnknownEvent        ErrorCode = "unknown_event"        // not one of ClientEvents
	CodeInvalidRoom         ErrorCode = "invalid_room"         // no or malformed warehouse or zone
	CodeInvalidEvent        ErrorCode = "invalid_event"        // the name can't be published
	CodeInvalidData         ErrorCode = "invalid_data"         // no, malformed or non-UTF-8 data
	CodeInvalidOffset       ErrorCode = "invalid_offset"       // malformed offset or cursor
	CodeTooLarge            ErrorCode = "too_large"            // over a limit in bytes
	CodeNotSubscribed       ErrorCode = "not_subscribed"       // unsubscribe from a room not joined
	CodeLimitReached        ErrorCode = "limit_reached"        // over a limit in number
	CodeRateLimited         ErrorCode = "rate_limited"         // too fast; see retryAfter
	CodeUnauthenticated     ErrorCode = "unauthenticated"      // no token, or one that is not valid
	CodeForbidden           ErrorCode = "forbidden"            // not permitted by the token
	CodeUnavailable         ErrorCode = "unavailable"          // broker down; see retryAfter
	CodeIdempotencyConflict ErrorCode = "idempotency_conflict" // key used for another message
	CodeQuotaExceeded       ErrorCode = "quota_exceeded"       // the warehouse keeps all it may
	CodeReplaced            ErrorCode = "replaced"             // a newer connection of the user took its place
	CodeNotDurable          ErrorCode = "not_durable"          // accepted and sent, but not confirmed as kept; see Accepted
	CodeDurableUnsupported  ErrorCode = "durable_unsupported"  // nothing here can confirm it; nothing was sent
	CodeInternal            ErrorCode = "internal"             // a fault of the server; see its log
)

// An Error is the data of an error frame, and the error of all functions here that judge input.
type Error struct {
	Code    ErrorCode `json:"code"`
	Message string    `json:"message"`
	// RetryAfter is in milliseconds; 0 when trying again does not help.
	RetryAfter int64 `json:"retryAfter,omitempty"`
	// Accepted is set with CodeNotDurable alone: where the event that was accepted stands.
	Accepted *Position `json:"accepted,omitempty"`
}

// Errorf returns an *[Error] without RetryAfter. The message tells the caller what to change.
func Errorf(code ErrorCode, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Message }
