package broker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/redisconn"
)

const (
	// commitBatch is the most publications that go to Redis in one round trip.
	commitBatch = 128
	// maxBatches is how many round trips to one server may be under way at once.
	maxBatches = 2
	// maxQueuedCommits bounds the data queued for one server, in bytes, and maxQueuedPerWarehouse
	// that of one warehouse. More is refused: publishers are faster than Redis, or Redis hangs.
	maxQueuedCommits      = 32 << 20
	maxQueuedPerWarehouse = maxQueuedCommits / 4
	// redirectPause is between two tries of a publication whose slot is moving to another server.
	redirectPause = 20 * time.Millisecond
)

// A committer runs the publish script. Publications that come in while others are under way leave
// together, so that the number of round trips does not grow with the load. Each server has a queue,
// so that one that hangs holds up only its own rooms; in it warehouses take turns, so that one that
// publishes too much holds up only itself.
//
// It repeats only what a server has not carried out. go-redis's own pipeline for clusters would
// also repeat what may have been carried out, and a message would be published twice.
type committer struct {
	broker *Redis

	mu     sync.Mutex
	queues map[string]*commitQueue // by the address of the server; those that are not empty
	// newcomers are servers that took over slots and are not known as masters yet, by address.
	newcomers map[string]*redis.Client
}

var errBacklog = errors.New("publish queue full")

// A commitQueue holds the publications for one server. Guarded by the committer's mutex.
type commitQueue struct {
	client  *redis.Client
	waiting fairQueue
	senders int // goroutines, at most maxBatches
}

type commit struct {
	ctx       context.Context
	until     time.Time // may not be carried out later
	address   string    // of the server that it was sent to
	warehouse string
	keys      []string
	args      []any
	size      int           // bytes of data
	done      chan struct{} // closed when cmd has the answer
	cmd       *redis.Cmd
}

func newCommitter(b *Redis) *committer {
	return &committer{broker: b, queues: map[string]*commitQueue{}, newcomers: map[string]*redis.Client{}}
}

// close gives up the connections to newcomers.
func (c *committer) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, client := range c.newcomers {
		errs = append(errs, client.Close())
	}
	return errors.Join(errs...)
}

// commit waits for the answer, or for ctx to end. The publication, of so many bytes of data, may be
// accepted all the same then, if its answer takes longer than a third of the time to come back; not
// later.
func (c *committer) commit(ctx context.Context, warehouse string, size int, keys []string, args ...any) (string, error) {
	until := time.Now().Add(c.broker.opts.Timings.Command * 2 / 3)
	ctx, cancel := context.WithTimeout(ctx, c.broker.opts.Timings.Command)
	defer cancel()
	one := &commit{ctx: ctx, until: until, warehouse: warehouse, keys: keys, args: args, size: size}
	for {
		one.done = make(chan struct{})
		if err := c.enqueue(one); err != nil {
			return "", err
		}
		select {
		case <-one.done:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		answer, err := one.cmd.Text()
		if err == nil && strings.HasPrefix(answer, late) {
			if c.broker.retryAfterClockJump(one.address, answer, until) {
				continue
			}
			return "", errLate
		}
		if err == nil || !c.retryAfterRedirect(ctx, one, err) {
			return answer, err
		}
		if answer, err, asked := c.publishAsking(one, err); asked {
			return answer, err
		}
	}
}

// enqueue adds a publication to the queue of its server.
func (c *committer) enqueue(one *commit) error {
	if err := one.ctx.Err(); err != nil {
		return err
	}
	client, err := c.broker.shard(one.ctx, one.keys[0])
	if err != nil {
		return err
	}
	address := client.Options().Addr
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.queues[address]
	if q == nil {
		q = new(commitQueue)
		c.queues[address] = q
	}
	if !q.waiting.push(one) {
		return errBacklog
	}
	q.client = client
	if q.senders < maxBatches && c.broker.spawn(func() { c.drain(address, q) }) {
		q.senders++
	}
	if q.senders == 0 {
		return errClosed()
	}
	return nil
}

// drain sends a queue until it is empty.
func (c *committer) drain(address string, q *commitQueue) {
	for {
		c.mu.Lock()
		batch := q.waiting.pop(commitBatch)
		if len(batch) == 0 {
			if q.senders--; q.senders == 0 {
				delete(c.queues, address)
			}
			c.mu.Unlock()
			return
		}
		client := q.client
		c.mu.Unlock()
		c.send(client, batch)
	}
}

// send runs the script for each, in one round trip; in two more when Redis lacks the script.
func (c *committer) send(client *redis.Client, batch []*commit) {
	ctx, cancel := context.WithTimeout(c.broker.ctx, c.broker.opts.Timings.Command)
	defer cancel()
	c.broker.evaluate(ctx, client, batch)
	var unknown []*commit
	for _, one := range batch {
		if redis.HasErrorPrefix(one.cmd.Err(), "NOSCRIPT") {
			unknown = append(unknown, one)
			continue
		}
		close(one.done)
	}
	if len(unknown) == 0 {
		return
	}
	if err := publishScript.Load(ctx, client).Err(); err == nil {
		c.broker.evaluate(ctx, client, unknown)
	}
	for _, one := range unknown {
		close(one.done)
	}
}

func (b *Redis) evaluate(ctx context.Context, client *redis.Client, batch []*commit) {
	address := client.Options().Addr
	pipe, server := client.Pipeline(), b.servers.at(address)
	for _, one := range batch {
		err := one.ctx.Err() // nobody waits for it any more
		if err == nil {
			err = server.circuit.refuse()
		}
		if err != nil {
			one.cmd = redis.NewCmd(ctx)
			one.cmd.SetErr(err)
			continue
		}
		one.address = address
		one.cmd = pipe.EvalSha(ctx, publishScript.Hash(), one.keys, b.withDeadline(one, address)...)
	}
	if pipe.Len() == 0 {
		return
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, new(redis.Error)) { // each command has its own error
		b.lookAtOnce()
	}
}

// withDeadline is what the script is told, for a server with this address.
func (b *Redis) withDeadline(one *commit, address string) []any {
	return append(slices.Clip(one.args), b.deadline(address, one.until))
}

// lookAtOnce wakes the monitor: a server may be away.
func (b *Redis) lookAtOnce() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// retryAfterRedirect reports whether a cluster's server said that it has not carried the
// publication out because its slot is, or is about to be, elsewhere; it waits a moment then.
func (c *committer) retryAfterRedirect(ctx context.Context, one *commit, err error) bool {
	b := c.broker
	if b.cluster == nil {
		return false
	}
	for _, prefix := range []string{"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "READONLY"} {
		if !redis.HasErrorPrefix(err, prefix) {
			continue
		}
		if prefix != "ASK" {
			b.cluster.ReloadState(ctx)
			return pauseFor(ctx, redirectPause)
		}
		return true
	}
	b.cluster.ReloadState(ctx) // the server may be gone
	return false
}

// publishAsking carries a publication out at the server that a slot is on its way to, when all keys
// of the room are there already.
func (c *committer) publishAsking(one *commit, err error) (answer string, _ error, asked bool) {
	target, ok := strings.CutPrefix(err.Error(), "ASK ")
	if !ok {
		return "", nil, false
	}
	_, address, _ := strings.Cut(target, " ")
	pipe := c.clientFor(one.ctx, address).Pipeline()
	pipe.Do(one.ctx, "ASKING")
	// By its text, not its hash: the server may not know it yet.
	cmd := publishScript.Eval(one.ctx, pipe, one.keys, c.broker.withDeadline(one, address)...)
	_, _ = pipe.Exec(one.ctx)
	if redis.HasErrorPrefix(cmd.Err(), "TRYAGAIN") || redis.HasErrorPrefix(cmd.Err(), "MOVED") {
		return "", one.ctx.Err(), !pauseFor(one.ctx, redirectPause)
	}
	if answer, err = cmd.Text(); strings.HasPrefix(answer, late) {
		return "", errLate, true
	}
	return answer, err, true
}

// clientFor returns a client of a server by its address. One that holds no slot yet is not among
// the cluster's.
func (c *committer) clientFor(ctx context.Context, address string) *redis.Client {
	var mu sync.Mutex
	var found *redis.Client
	_ = c.broker.cluster.ForEachMaster(ctx, func(_ context.Context, client *redis.Client) error {
		if client.Options().Addr == address {
			mu.Lock()
			found = client
			mu.Unlock()
		}
		return nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if found == nil {
		if found = c.newcomers[address]; found == nil {
			found = c.broker.opts.Target.At(address, redisconn.Tuning{Timeout: c.broker.opts.Timings.Command})
			c.newcomers[address] = found
		}
	}
	return found
}
