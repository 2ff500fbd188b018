package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/wire"
)

// run evaluates a script that only one room is concerned with. Reading may be repeated.
func (b *Redis) run(ctx context.Context, script *redis.Script, room wire.Room, args ...any) ([]any, error) {
	k := b.keysOf(room)
	return b.runOn(ctx, script, room, []string{k.meta, k.stream, k.retained}, args...)
}

// runOn is run with other keys of the room.
func (b *Redis) runOn(ctx context.Context, script *redis.Script, room wire.Room, keys []string, args ...any) ([]any, error) {
	keys, emptyEpoch := b.withEmptyEpoch(room, keys...)
	answer := script.Run(ctx, b.client, keys, append([]any{NewEpoch(), emptyEpoch}, args...)...)
	if text, _ := answer.Text(); text == askEmptyEpoch {
		emptyEpoch, err := b.readEmptyEpoch(ctx, room)
		if err != nil {
			return nil, err
		}
		answer = script.Run(ctx, b.client, keys, append([]any{NewEpoch(), emptyEpoch}, args...)...)
	}
	return answer.Slice()
}

// A storedRoom is how a room stands in Redis.
type storedRoom struct {
	Snapshot
	accepted wire.Micros // of the last message; 0 if unknown
	deleted  string      // how often retained events were deleted
}

// readState returns how the room stands.
func (b *Redis) readState(ctx context.Context, room wire.Room) (s storedRoom, err error) {
	answer, err := b.run(ctx, stateScript, room, b.opts.Limits.RetainAge.Milliseconds())
	if err != nil {
		return storedRoom{}, err
	}
	parts, err := texts(answer)
	if err != nil || len(parts) < 4 {
		return storedRoom{}, fmt.Errorf("state of %s: unexpected answer (%w)", room, err)
	}
	if s.Offset, err = parseOffset(parts[0], parts[1]); err != nil {
		return storedRoom{}, err
	}
	if n, at, ok := strings.Cut(parts[2], "-"); ok && n == parts[1] {
		if s.accepted, err = parseMicros(at); err != nil {
			return storedRoom{}, fmt.Errorf("state of %s: %w", room, err)
		}
	}
	s.deleted = parts[3]
	for _, payload := range parts[4:] {
		m, _, err := decodePayload(room, payload, b.opts.MaxStoredBytes)
		if err != nil { // the next one that is retained replaces it
			b.refuse(bus.Stored, room, err)
			continue
		}
		s.Retained = append(s.Retained, m)
	}
	slices.SortFunc(s.Retained, func(a, b *Message) int { return cmp.Compare(a.Offset.N, b.Offset.N) })
	return s, nil
}

func texts(values []any) ([]string, error) {
	out := make([]string, len(values))
	for i, v := range values {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("not a text: %T", v)
		}
		out[i] = s
	}
	return out, nil
}

// History implements [Broker].
func (b *Redis) History(ctx context.Context, room wire.Room, after wire.Offset, limit int) (Page, error) {
	if b.ctx.Err() != nil {
		return Page{}, errClosed()
	}
	accepted := undelivered
	if last, ok := b.left.cache.Peek(room); ok && last.at == after {
		accepted = last.accepted
	}
	page, _, err := b.history(ctx, room, after, accepted, limit)
	if err != nil {
		return Page{}, b.unavailable("read history of "+room.String(), err)
	}
	if n := len(page.Messages); n > 0 {
		b.noteRead(page.Messages[n-1])
	}
	return page, nil
}

// undelivered is the time of a message that was not delivered here: a client names its offset.
const undelivered wire.Micros = -1

// history reads a page, and how often retained events were deleted. accepted is the time of the
// message at the offset, 0 if that is unknown.
func (b *Redis) history(ctx context.Context, room wire.Room, after wire.Offset, accepted wire.Micros,
	limit int) (page Page, deleted string, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timings.Command)
	defer cancel()
	known, delivered := "", 1
	switch {
	case accepted == undelivered:
		delivered = 0
	case accepted != 0:
		known = strconv.FormatInt(int64(accepted), 10)
	}
	answer, err := b.run(ctx, historyScript, room, after.Epoch, after.N, limit, b.opts.Limits.Messages,
		b.opts.Limits.Age.Milliseconds(), known, delivered)
	if err != nil {
		return Page{}, "", err
	}
	if len(answer) != 5 {
		return Page{}, "", errors.New("unexpected answer")
	}
	head, err := texts(answer[:2])
	if err != nil {
		return Page{}, "", err
	}
	current, err := parseOffset(head[0], head[1])
	if err != nil {
		return Page{}, "", err
	}
	entries, ok := answer[2].([]any)
	if !ok {
		return Page{}, "", errors.New("unexpected entries")
	}
	if answer[3] == int64(1) {
		b.opts.Log.Error("Redis lost messages that were delivered: the room has a new epoch",
			"room", room, "delivered", after, "now", current)
		b.renewLife(ctx, room)
		if b.opts.OnFork != nil {
			b.opts.OnFork()
		}
	}
	kept, ahead := make([]*Message, 0, len(entries)), b.clockAhead(ctx, room)
	for _, e := range entries {
		m, err := decodeEntry(room, current.Epoch, e, b.opts.MaxStoredBytes)
		if err != nil { // a gap, if nothing that follows closes it
			b.refuse(bus.Stored, room, err)
			continue
		}
		if len(kept) > 0 && m.Offset.N != kept[len(kept)-1].Offset.N+1 {
			break // what follows comes with the next page, after the gap
		}
		m.setClockAhead(ahead)
		kept = append(kept, m)
	}
	deleted, _ = answer[4].(string)
	return newPage(after, current, kept), deleted, nil
}
