package transporttest

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/zonecast/zonecast/backend/wire"
)

// An Event is one Server-Sent Event as EventSource dispatches it.
type Event struct {
	Name, ID, Data, Retry string
	Frame                 wire.ServerFrame // Data, decoded; of events without a name, and of heartbeats
}

// Events reads a stream of them.
type Events struct {
	in *bufio.Reader
	// LastID is that of the last event that was complete, which goes into Last-Event-ID.
	LastID string
}

// ReadEvents returns a reader of events.
func ReadEvents(r io.Reader) *Events { return &Events{in: bufio.NewReader(r)} }

// Next reads the next event, or why there is none: io.EOF at the end of the body. One that is cut
// off counts for nothing.
func (s *Events) Next() (e Event, err error) {
	var data []string
	id := s.LastID
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return Event{}, err
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			break
		}
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "event":
			e.Name = value
		case "id":
			id, e.ID = value, value
		case "retry":
			e.Retry = value
		case "data":
			data = append(data, value)
		default:
			return Event{}, fmt.Errorf("a line of no field: %q", line)
		}
	}
	s.LastID = id
	e.Data = strings.Join(data, "\n")
	if e.Name == "close" {
		return e, nil
	}
	e.Frame, err = wire.DecodeServer([]byte(e.Data))
	return e, err
}
