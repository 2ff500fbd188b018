package broker

import (
	"context"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// recheck is what is published to a room's channel when something was deleted there: its
// subscribers look at the history again. It is no payload of a message.
const recheck = "recheck"

// DeleteRetained implements [Deleter].
func (b *Redis) DeleteRetained(ctx context.Context, room wire.Room, event string) (bool, error) {
	answer, err := b.delete(ctx, "delete retained "+event+" of "+room.String(), func(ctx context.Context, k keys, deadline int64) ([]any, error) {
		return b.run(ctx, deleteRetainedScript, room, event, b.dialect.publish, k.channel, recheck, deadline)
	}, room)
	if err != nil || len(answer) < 5 {
		return false, err
	}
	at := func(i int) int { n, _ := answer[i].(int64); return int(n) }
	b.usage.published(room, Usage{RetainedBytes: at(1), RetainedEvents: at(3)},
		Usage{RetainedBytes: at(2), RetainedEvents: at(4)}, true)
	return true, nil
}

// DeleteRoom implements [Deleter].
func (b *Redis) DeleteRoom(ctx context.Context, room wire.Room) (bool, error) {
	answer, err := b.delete(ctx, "delete "+room.String(), func(ctx context.Context, k keys, deadline int64) ([]any, error) {
		all := []string{k.meta, k.stream, k.retained, k.idempotency, k.order}
		return b.runOn(ctx, deleteRoomScript, room, all, b.dialect.publish, k.channel, recheck, deadline)
	}, room)
	if err != nil || len(answer) == 0 || answer[0] != int64(1) {
		return false, err
	}
	b.usage.deleted(room)
	return true, nil
}

func (b *Redis) delete(ctx context.Context, doing string, run func(context.Context, keys, int64) ([]any, error),
	room wire.Room) ([]any, error) {
	if b.ctx.Err() != nil {
		return nil, errClosed()
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timings.Command)
	defer cancel()
	k, until := b.keysOf(room), time.Now().Add(b.opts.Timings.Command*2/3)
	client, err := b.shard(ctx, k.meta)
	var answer []any
	if err == nil {
		err = b.refuseIfSuspended(ctx, k.meta)
	}
	if err == nil {
		answer, err = run(ctx, k, b.deadline(client.Options().Addr, until))
	}
	if err == nil && len(answer) > 0 && answer[0] == int64(-1) {
		err = errLate
	}
	if err != nil {
		return nil, b.unavailable(doing, err)
	}
	return answer, nil
}
