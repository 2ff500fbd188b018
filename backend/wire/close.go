package wire

// A CloseCode says why a connection ended. It stands in the WebSocket close frame, in the log, as
// the label of a metric and in the TypeScript client. 1000 to 1015 are RFC 6455 section 7.4.1's,
// 4000 to 4999 are ours.
type CloseCode uint16

// The ways a connection ends.
const (
	// CloseGoingAway: the peer left, or was not heard of any more.
	CloseGoingAway CloseCode = 1001
	// CloseTooBig: the client sent a frame over the limit.
	CloseTooBig CloseCode = 1009
	// CloseRestart: this instance is leaving; come back, another one or its successor is there.
	CloseRestart CloseCode = 1012
	// CloseBadFrame: the client keeps sending what is not the protocol.
	CloseBadFrame CloseCode = 4400
	// CloseUnauthenticated: no valid token, or it expired or was revoked. Come back with another
	// token only.
	CloseUnauthenticated CloseCode = 4401
	// CloseForbidden: the token does not permit what was asked for.
	CloseForbidden CloseCode = 4403
	// CloseSlowConsumer: more waited for this client than is kept. Come back and resume from the
	// last offset.
	CloseSlowConsumer CloseCode = 4408
	// CloseReplaced: a newer connection of the same user took the place of this one. Who comes back
	// takes the other's place in turn.
	CloseReplaced CloseCode = 4409
	// CloseLimit: a limit of connections or messages was reached.
	CloseLimit CloseCode = 4429
)

// CloseCodes lists all codes, in rising order.
func CloseCodes() []CloseCode {
	return []CloseCode{CloseGoingAway, CloseTooBig, CloseRestart, CloseBadFrame, CloseUnauthenticated, CloseForbidden,
		CloseSlowConsumer, CloseReplaced, CloseLimit}
}

// String returns the name of the code: the metric label, the log field and the key of the
// TypeScript enum.
func (c CloseCode) String() string {
	switch c {
	case CloseGoingAway:
		return "going_away"
	case CloseTooBig:
		return "too_big"
	case CloseRestart:
		return "restart"
	case CloseBadFrame:
		return "bad_frame"
	case CloseUnauthenticated:
		return "unauthenticated"
	case CloseForbidden:
		return "forbidden"
	case CloseSlowConsumer:
		return "slow_consumer"
	case CloseReplaced:
		return "replaced"
	case CloseLimit:
		return "limit_reached"
	}
	return "unknown"
}

// Reconnect reports whether a client should come back by itself; after CloseTooBig without the
// frame that was. After the others it would meet the same end again.
func (c CloseCode) Reconnect() bool {
	switch c {
	case CloseGoingAway, CloseTooBig, CloseRestart, CloseSlowConsumer, CloseLimit:
		return true
	}
	return false
}
