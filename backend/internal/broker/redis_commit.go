package broker

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

const (
	// commitBatch is the most publications that go to Redis in one round trip.
	commitBatch = 128
	// committers is how many round trips may be under way at once.
	committers = 2
)

// A committer runs the publish script. Publications that come in while others are on their way leave together, so that the
// number of round trips does not grow with the load.
type committer struct {
	client *redis.Client
	queue  chan *commit
}

type commit struct {
	ctx  context.Context
	keys []string
	args []any
	done chan struct{} // closed when cmd has the answer
	cmd  *redis.Cmd
}

func newCommitter(client *redis.Client) *committer {
	return &committer{client: client, queue: make(chan *commit, commitBatch)}
}

// commit waits for the answer, or for ctx to end; the publication may be accepted all the same then.
func (c *committer) commit(ctx context.Context, keys []string, args ...any) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	one := &commit{ctx: ctx, keys: keys, args: args, done: make(chan struct{})}
	select {
	case c.queue <- one:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case <-one.done:
		return one.cmd.Text()
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// run works until ctx ends. What waits then is answered with the error of ctx.
func (c *committer) run(ctx context.Context) {
	var running sync.WaitGroup
	for range committers {
		running.Go(func() {
			for {
				select {
				case one := <-c.queue:
					c.send(ctx, c.gather(one))
				case <-ctx.Done():
					return
				}
			}
		})
	}
	running.Wait()
	for {
		select {
		case one := <-c.queue:
			c.send(ctx, []*commit{one})
		default:
			return
		}
	}
}

// gather takes what waits besides first.
func (c *committer) gather(first *commit) []*commit {
	batch := []*commit{first}
	for len(batch) < commitBatch {
		select {
		case one := <-c.queue:
			batch = append(batch, one)
		default:
			return batch
		}
	}
	return batch
}

// send runs the script for each, in one round trip; in two more when Redis does not know the script yet.
func (c *committer) send(ctx context.Context, batch []*commit) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	c.evaluate(ctx, batch)
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
	if err := publishScript.Load(ctx, c.client).Err(); err == nil {
		c.evaluate(ctx, unknown)
	}
	for _, one := range unknown {
		close(one.done)
	}
}

func (c *committer) evaluate(ctx context.Context, batch []*commit) {
	pipe := c.client.Pipeline()
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
