package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/redisconn"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// maxFences is how many fences of one server may wait at once. Each holds a connection.
	maxFences = 8
	// capabilityAge is how long is believed what a server was found to be capable of.
	capabilityAge = time.Second
)

// durable confirms publications. Redis answers WAITAOF and WAIT for what the same connection wrote,
// and blocks the connection meanwhile; the committer's connections are shared, and must not wait.
// So a publication is confirmed by a fence behind it, on a connection for that:
//
//	publish script ── accepted, id of the replication history ──▶ begin ──▶ queue of the server
//	queue ── all that wait, at once ──▶ fence: fenceScript (a write; the id of the history), WAITAOF
//
// What is on disk, or at a replica, is a prefix of what a server wrote. So the fence confirms all
// that was written before it, if the server has the same history still: the id changes with each
// restart and failover, and then nobody knows what is left.
type durable struct {
	broker *Redis
	client redis.UniversalClient // its connections block

	mu     sync.Mutex
	queues map[string]*fenceQueue // by the address of the server
}

// A fenceQueue is what one server has to confirm. Guarded by durable.mu.
type fenceQueue struct {
	waiting []*durableWait
	fences  int // under way, at most maxFences

	known   error // why the server can't confirm anything, as it was found
	knownAt time.Time
}

// A durableWait is one publication that waits.
type durableWait struct {
	room    wire.Room
	history string // of the server that accepted it
	began   time.Time
	done    chan durableOutcome // takes one
}

type durableOutcome struct {
	result DurableResult
	why    string
}

func newDurable(b *Redis) *durable {
	return &durable{broker: b, queues: map[string]*fenceQueue{}, client: b.opts.Target.Client(redisconn.Tuning{
		Timeout: b.opts.Durability.Timeout + b.opts.Timings.Command, PoolSize: maxFences + 1})}
}

func (d *durable) close() error { return d.client.Close() }

// shard returns the server of a room.
func (d *durable) shard(ctx context.Context, room wire.Room) (*redis.Client, error) {
	if c, ok := d.client.(*redis.ClusterClient); ok {
		return c.MasterForKey(ctx, d.broker.keysOf(room).meta)
	}
	return d.client.(*redis.Client), nil
}

func (d *durable) queueLocked(address string) *fenceQueue {
	q := d.queues[address]
	if q == nil {
		q = new(fenceQueue)
		d.queues[address] = q
	}
	return q
}

// refuse returns why the room's server can't confirm publications; nil when it can.
func (d *durable) refuse(ctx context.Context, room wire.Room) error {
	ctx, cancel := context.WithTimeout(ctx, d.broker.opts.Timings.Command)
	defer cancel()
	client, err := d.shard(ctx, room)
	if err != nil {
		return d.broker.unavailable("find the server of "+room.String(), err)
	}
	address := client.Options().Addr
	d.mu.Lock()
	q := d.queueLocked(address)
	known, fresh := q.known, time.Since(q.knownAt) < capabilityAge
	d.mu.Unlock()
	if fresh {
		return known
	}
	known, err = d.broker.opts.Durability.check(ctx, client)
	if err != nil {
		return d.broker.unavailable("ask Redis what it can confirm", err)
	}
	d.mu.Lock()
	q.known, q.knownAt = known, time.Now()
	d.mu.Unlock()
	return known
}

// check asks a server for what it can confirm, and returns why it can't; err when it did not
// answer.
func (d Durability) check(ctx context.Context, client *redis.Client) (why, err error) {
	pipe := client.Pipeline()
	waitAOF := pipe.Do(ctx, "WAITAOF", 0, 0, 1)
	info := pipe.Info(ctx, "everything")
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, new(redis.Error)) {
		return nil, err
	}
	facts := info.Val()
	if err := info.Err(); err != nil {
		return errDurableUnsupported(fmt.Sprintf("Redis may not be asked what it is (%v): permit +info", err)), nil
	}
	if connected := strings.Count(facts, "state=online"); connected < d.Replicas {
		return &wire.Error{Code: wire.CodeUnavailable, RetryAfter: redisRetryAfter.Milliseconds(), Message: fmt.Sprintf(
			"nothing was published: durable needs %d replicas of Redis (DURABLE_REPLICAS), and %d are connected: try again", d.Replicas, connected)}, nil
	}
	if d.NoDisk {
		return nil, nil
	}
	if !strings.Contains(facts, "aof_enabled:1") {
		return errDurableUnsupported("Redis writes no append-only file: set appendonly yes there"), nil
	}
	if err := waitAOF.Err(); err == nil {
		return nil, nil
	} else if redis.HasErrorPrefix(err, "NOPERM") {
		return errDurableUnsupported("the user of Redis may not use WAITAOF: permit +@connection"), nil
	}
	if d.Replicas > 0 {
		return errDurableUnsupported("only Redis 7.2 or newer tells what is on the disks of replicas: " +
			"update it, or set DURABLE_DISK=false"), nil
	}
	// An older one answers a write after it is on disk, if it is told to.
	if set, err := client.ConfigGet(ctx, "appendfsync").Result(); err != nil || set["appendfsync"] != "always" {
		return errDurableUnsupported("Redis is older than 7.2, and not seen to have appendfsync always " +
			"(CONFIG GET, which its user must be permitted): update it, or set that"), nil
	}
	return nil, nil
}

// begin queues a publication that was accepted, and returns what waits for it.
func (d *durable) begin(room wire.Room, history string) func(context.Context) error {
	w := &durableWait{room: room, history: history, began: time.Now(), done: make(chan durableOutcome, 1)}
	client, err := d.shard(d.broker.ctx, room)
	if err != nil {
		w.done <- durableOutcome{DurableFailed, "Redis is not available"}
	} else {
		d.push(client, w)
	}
	return func(ctx context.Context) error { return d.await(ctx, w) }
}

func (d *durable) push(client *redis.Client, w *durableWait) {
	address := client.Options().Addr
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.queueLocked(address)
	q.waiting = append(q.waiting, w)
	if q.fences < maxFences && d.broker.spawn(func() { d.drain(client, q) }) {
		q.fences++
	}
}

// drain sets fences until nothing waits.
func (d *durable) drain(client *redis.Client, q *fenceQueue) {
	for {
		d.mu.Lock()
		all := q.waiting
		q.waiting = nil
		if len(all) == 0 {
			q.fences--
			d.mu.Unlock()
			return
		}
		d.mu.Unlock()
		history, outcome := d.fence(client, all[0].room)
		for _, w := range all {
			if own := outcome; own.result == DurableConfirmed && w.history != history {
				w.done <- durableOutcome{DurableFailover, "Redis was restarted or another server took over meanwhile, so it may be lost"}
			} else {
				w.done <- own
			}
		}
	}
}

// fenceScript writes something, and answers the id of the server's replication history.
var fenceScript = `redis.call('SET', KEYS[1], '1', 'PX', 60000)
return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')`

// fence waits until all that the room's server has written is as durable as is asked for.
func (d *durable) fence(client *redis.Client, room wire.Room) (history string, _ durableOutcome) {
	want := d.broker.opts.Durability
	ctx, cancel := context.WithTimeout(d.broker.ctx, want.Timeout+d.broker.opts.Timings.Command)
	defer cancel()
	pipe := client.Pipeline()
	written := pipe.Eval(ctx, fenceScript, []string{d.broker.fenceKey(room)})
	var waited *redis.Cmd
	if want.NoDisk {
		waited = pipe.Do(ctx, "WAIT", want.Replicas, want.Timeout.Milliseconds())
	} else {
		waited = pipe.Do(ctx, "WAITAOF", 1, want.Replicas, want.Timeout.Milliseconds())
	}
	_, err := pipe.Exec(ctx) // each has its own error
	history, own := written.Text()
	switch {
	case own != nil:
		d.broker.warnOnceASecond("durability not confirmed", "error", own)
		return "", durableOutcome{DurableFailed, "Redis did not answer"}
	case !want.NoDisk && want.Replicas == 0 && isUnknownCommand(waited.Err()):
		return history, durableOutcome{result: DurableConfirmed} // appendfsync always: the answer says it
	case waited.Err() != nil:
		d.broker.warnOnceASecond("durability not confirmed", "error", err)
		return history, durableOutcome{DurableFailed, "Redis could not confirm it"}
	}
	local, replicas := 1, 0
	switch counts := waited.Val().(type) {
	case int64:
		replicas = int(counts)
	case []any:
		local, replicas = 0, 0
		if len(counts) == 2 {
			onDisk, _ := counts[0].(int64)
			there, _ := counts[1].(int64)
			local, replicas = int(onDisk), int(there)
		}
	}
	switch {
	case local < 1:
		return history, durableOutcome{DurableTimeout, fmt.Sprintf("Redis did not write it to disk within %v", want.Timeout)}
	case replicas < want.Replicas:
		return history, durableOutcome{DurableTimeout, fmt.Sprintf("%d of %d replicas have it after %v", replicas, want.Replicas, want.Timeout)}
	}
	return history, durableOutcome{result: DurableConfirmed}
}

func isUnknownCommand(err error) bool {
	return err != nil && strings.Contains(err.Error(), "unknown command")
}

// await waits for the outcome.
func (d *durable) await(ctx context.Context, w *durableWait) error {
	timeout := d.broker.opts.Durability.Timeout
	timer := time.NewTimer(time.Until(w.began.Add(timeout)))
	defer timer.Stop()
	var got durableOutcome
	select {
	case got = <-w.done:
	case <-timer.C:
		got = durableOutcome{DurableTimeout, fmt.Sprintf("Redis did not confirm it within %v", timeout)}
	case <-d.broker.ctx.Done():
		got = durableOutcome{DurableFailed, "this instance is leaving"}
	case <-ctx.Done():
		got = durableOutcome{DurableTimeout, "the request ended before Redis confirmed it"}
	}
	if d.broker.opts.OnDurable != nil {
		d.broker.opts.OnDurable(got.result, time.Since(w.began))
	}
	if got.result == DurableConfirmed {
		return nil
	}
	return &wire.Error{Code: wire.CodeNotDurable, RetryAfter: redisRetryAfter.Milliseconds(), Message: "the event was published, and is sent to " +
		"the room's members, but is not known to be durable: " + got.why + "; publish it again with the same idempotency key to wait again, " +
		"without a key it would be published twice"}
}
