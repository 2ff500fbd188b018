package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/wire"
)

// What comes from Redis is checked as what comes from a publisher is: others may write there, and
// what is not JSON would break the frames of all members.

// attributes are what a message carries besides what the stream keeps, with commas between: the
// name that it is conflated by, the signature, if there is a key, and its trace, if there is one.
func (b *Redis) attributes(p *Publication) string {
	signature := b.opts.Signer.Sign(bus.Message, p.Room.String(), p.Event, retainText(p.Retain), p.Conflate, string(p.Data))
	return strings.TrimRight(p.Conflate+","+signature+","+p.Traceparent, ",")
}

func retainText(retain bool) string {
	if retain {
		return "1"
	}
	return "0"
}

// decodeLive reads what was published to a room's channel, and verifies who said it.
func (b *Redis) decodeLive(room wire.Room, payload string) (*Message, error) {
	m, signature, err := decodePayload(room, payload, b.opts.MaxStoredBytes)
	if err != nil {
		return nil, err
	}
	return m, b.opts.Signer.Verify(signature, bus.Message, room.String(), m.Event, retainText(m.Retain), m.Conflate(),
		string(m.Data))
}

// refuse counts what is not believed, and logs it. A live message that was refused but is in the
// stream arrives all the same: the room misses its offset.
func (b *Redis) refuse(kind bus.Kind, room wire.Room, err error) {
	reason := bus.Malformed
	errors.As(err, &reason)
	if b.opts.OnRefuse != nil {
		b.opts.OnRefuse(kind, reason)
	}
	b.warnOnceASecond("refused what Redis delivered", "kind", kind, "room", room, "error", err)
}

// decodePayload reads "epoch n µs retain attributes event\ndata", with at most so many bytes of
// data. The signature is not verified.
func decodePayload(room wire.Room, payload string, most int) (_ *Message, signature string, _ error) {
	head, data, ok := strings.Cut(payload, "\n")
	parts := strings.Split(head, " ")
	if !ok || len(parts) != 6 || parts[3] != "0" && parts[3] != "1" {
		return nil, "", fmt.Errorf("payload of %s is not one of Zonecast", room)
	}
	m := &Message{Retain: parts[3] == "1"}
	conflate, rest, _ := strings.Cut(parts[4], ",")
	signature, trace, _ := strings.Cut(rest, ",")
	if err := wire.CheckConflate(conflate); err != nil {
		return nil, "", fmt.Errorf("payload of %s: %w", room, err)
	}
	if !isTraceparent(trace) {
		trace = ""
	}
	m.setAttributes(conflate, trace)
	return m, signature, m.fill(room, parts[0], parts[1], parts[2], parts[5], data, most)
}

// isTraceparent reports whether the text is a traceparent header of version 00. It becomes part of
// frames as it is.
func isTraceparent(text string) bool {
	const form = "00-00000000000000000000000000000000-0000000000000000-00"
	if len(text) != len(form) {
		return false
	}
	for i, c := range []byte(text) {
		if hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'; (form[i] == '-') != (c == '-') || c != '-' && !hex {
			return false
		}
	}
	return true
}

// decodeEntry reads [id, [e or r, event, d, data]], as XRANGE gives it.
func decodeEntry(room wire.Room, epoch string, entry any, most int) (*Message, error) {
	pair, _ := entry.([]any)
	if len(pair) != 2 {
		return nil, errors.New("an entry of the stream is not one of Zonecast")
	}
	id, _ := pair[0].(string)
	list, _ := pair[1].([]any)
	fields, err := texts(list)
	number, us, ok := strings.Cut(id, "-")
	if err != nil || !ok || len(fields) != 4 {
		return nil, errors.New("an entry of the stream is not one of Zonecast")
	}
	m := &Message{Retain: fields[0] == "r"}
	return m, m.fill(room, epoch, number, us, fields[1], fields[3], most)
}

// fill checks the parts of a message and takes them.
func (m *Message) fill(room wire.Room, epoch, n, us, event, data string, most int) error {
	offset, err := parseOffset(epoch, n)
	if err != nil {
		return err
	}
	accepted, err := parseMicros(us)
	switch {
	case err != nil:
	case len(data) > most:
		err = fmt.Errorf("%d bytes of data are more than %d", len(data), most)
	case data != "" && !json.Valid([]byte(data)): // absent data is null
		err = errors.New("the data is not JSON")
	default:
		err = wire.CheckEvent(event)
	}
	if err != nil {
		return fmt.Errorf("message %s of %s: %w", offset, room, err)
	}
	m.Message = wire.Message{Room: room, Event: event, Offset: offset, Time: accepted.Millis(), Data: []byte(data)}
	m.Accepted = accepted
	return nil
}

func parseOffset(epoch, n string) (wire.Offset, error) {
	o, err := wire.ParseOffset(epoch + "-" + n)
	if err != nil {
		return wire.Offset{}, fmt.Errorf("offset in Redis: %w", err)
	}
	return o, nil
}

func parseMicros(text string) (wire.Micros, error) {
	us, err := strconv.ParseInt(text, 10, 64)
	if err != nil || us < 0 {
		return 0, fmt.Errorf("time in Redis: %.40q is none", text)
	}
	return wire.Micros(us), nil
}
