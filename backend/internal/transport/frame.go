package transport

import "bytes"

// Is reports whether a frame is one of this event that the server sends on its own behalf. Nobody can publish such an event.
func Is(frame []byte, event string) bool {
	rest, ok := bytes.CutPrefix(frame, []byte(`{"event":"`))
	return ok && len(rest) > len(event) && rest[len(event)] == '"' && string(rest[:len(event)]) == event
}
