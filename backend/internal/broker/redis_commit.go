package broker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/redisconn"
)

const (
	// commitBatch is the most publications that go to Redis in one round trip.
	commitBatch = 128
	// committers is how many round trips to one server may be under way at once.
	committers = 2
	// commitBytes is how much data may wait for one server, besides what is on its way. More is refused: publishers are faster
	// than Redis, or Redis hangs.
	commitBytes = 32 << 20
	// redirectPause is between two tries of a publication whose slot is on its way to another server.
	redirectPause = 20 * time.Millisecond
)

// A committer runs the publish script. Publications that come in while others are on their way leave together, so that the
// number of round trips does not grow with the load. Each server has a lane of its own, so that one that hangs holds up
// only its own rooms.
//
// It repeats what a server has not carried out, and nothing else: go-redis's own pipeline for clusters would also repeat what
// may have been carried out, and a message would be published twice.
type committer struct {
	broker *Redis

	mu    sync.Mutex
	lanes map[string]*lane // by the address of the server; those that are at work
	// Servers that took over slots and are not among the cluster's masters yet, by address.
	newcomers map[string]*redis.Client
}

var errBacklog = errors.New("too much waits for Redis")

// A lane is what waits for one server. Guarded by the committer's mutex.
type lane struct {
	client  *redis.Client
	waiting []*commit
	bytes   int // of data in waiting
	running int // goroutines that send, at most committers
}

type commit struct {
	ctx  context.Context
	keys []string
	args []any
	size int           // bytes of data
	done chan struct{} // closed when cmd has the answer
	cmd  *redis.Cmd
}

func newCommitter(b *Redis) *committer {
	return &committer{broker: b, lanes: map[string]*lane{}, newcomers: map[string]*redis.Client{}}
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

// commit waits for the answer, or for ctx to end; the publication, of so many bytes of data, may be accepted all the same then.
func (c *committer) commit(ctx context.Context, size int, keys []string, args ...any) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	one := &commit{ctx: ctx, keys: keys, args: args, size: size}
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
		if err == nil || !c.redirected(ctx, one, err) {
			return answer, err
		}
		if answer, err, asked := c.ask(one, err); asked {
			return answer, err
		}
	}
}

// enqueue gives a publication to the lane of its server.
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
	l := c.lanes[address]
	if l == nil {
		l = new(lane)
		c.lanes[address] = l
	}
	if l.bytes > 0 && l.bytes+one.size > commitBytes {
		return errBacklog
	}
	l.client = client
	l.waiting = append(l.waiting, one)
	l.bytes += one.size
	if l.running < committers && c.broker.spawn(func() { c.work(address, l) }) {
		l.running++
	}
	if l.running == 0 {
		return errClosed()
	}
	return nil
}

// work sends what waits in a lane until nothing does.
func (c *committer) work(address string, l *lane) {
	for {
		c.mu.Lock()
		n := min(len(l.waiting), commitBatch)
		if n == 0 {
			if l.running--; l.running == 0 {
				delete(c.lanes, address)
			}
			c.mu.Unlock()
			return
		}
		batch := append([]*commit(nil), l.waiting[:n]...)
		clear(l.waiting[:n])
		l.waiting = l.waiting[n:]
		for _, one := range batch {
			l.bytes -= one.size
		}
		client := l.client
		c.mu.Unlock()
		send(c.broker.ctx, client, batch)
	}
}

// send runs the script for each, in one round trip; in two more when Redis does not know the script yet.
func send(ctx context.Context, client *redis.Client, batch []*commit) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	evaluate(ctx, client, batch)
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
		evaluate(ctx, client, unknown)
	}
	for _, one := range unknown {
		close(one.done)
	}
}

func evaluate(ctx context.Context, client *redis.Client, batch []*commit) {
	pipe := client.Pipeline()
	for _, one := range batch {
		if err := one.ctx.Err(); err != nil { // nobody waits for it any more
			one.cmd = redis.NewCmd(ctx)
			one.cmd.SetErr(err)
			continue
		}
		one.cmd = pipe.EvalSha(ctx, publishScript.Hash(), one.keys, one.args...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
}

// redirected reports whether a cluster's server said that it has not carried the publication out because its slot is, or is
// about to be, elsewhere; it waits a moment then.
func (c *committer) redirected(ctx context.Context, one *commit, err error) bool {
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

// ask carries a publication out at the server that a slot is on its way to, when all keys of the room are there already.
func (c *committer) ask(one *commit, err error) (answer string, _ error, asked bool) {
	target, ok := strings.CutPrefix(err.Error(), "ASK ")
	if !ok {
		return "", nil, false
	}
	_, address, _ := strings.Cut(target, " ")
	pipe := c.server(one.ctx, address).Pipeline()
	pipe.Do(one.ctx, "ASKING")
	// By its text, not its hash: the server may not know it yet.
	cmd := publishScript.Eval(one.ctx, pipe, one.keys, one.args...)
	_, _ = pipe.Exec(one.ctx)
	if redis.HasErrorPrefix(cmd.Err(), "TRYAGAIN") || redis.HasErrorPrefix(cmd.Err(), "MOVED") {
		return "", one.ctx.Err(), !pauseFor(one.ctx, redirectPause)
	}
	answer, err = cmd.Text()
	return answer, err, true
}

// server returns a client of a server by its address. One that holds no slot yet is not among the cluster's.
func (c *committer) server(ctx context.Context, address string) *redis.Client {
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
			found = c.broker.opts.Target.At(address, redisconn.Tuning{Timeout: redisTimeout})
			c.newcomers[address] = found
		}
	}
	return found
}
