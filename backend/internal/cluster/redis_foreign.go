package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// foreignIntervals are between two looks for a foreign cluster.
const foreignIntervals = 5

// lookForForeign looks for instances that use this Redis with the same prefix and announce
// themselves elsewhere: with another database number, which separates keys, and not channels. One
// cluster would then end connections, revoke tokens and slow down publishers of the other. An
// instance that starts or ends is not taken for one: it is counted twice in a row, between which
// all have announced themselves.
func (c *Redis) lookForForeign(ctx context.Context) {
	if _, sharded := c.client.(*redis.ClusterClient); sharded {
		return // it has no database numbers
	}
	before := 0
	tick := time.NewTicker(foreignIntervals * c.interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		n, err := c.countForeign(ctx)
		if err != nil { // announcements say that Redis is away; who may not count is not told
			c.log.Debug("listeners not counted", "error", err)
			before = 0
			continue
		}
		c.warnOfForeign(min(n, before))
		before = n
	}
}

// countForeign returns how many hear this cluster's questions, and are not known: whoever is silent
// may be frozen, and still be heard as a listener.
func (c *Redis) countForeign(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	channel := c.prefix + questionChannel
	listeners, err := c.client.PubSubNumSub(ctx, channel).Result()
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(listeners[channel]) - 1 - len(c.others) - len(c.gone), nil
}

// warnOfForeign says once that there are foreign instances, and that they are gone.
func (c *Redis) warnOfForeign(n int) {
	warning := ""
	if n > 0 {
		warning = fmt.Sprintf("foreign cluster: %d more listen on the channels of the prefix %s in this Redis than announce themselves in this database, "+
			"so another cluster uses it: set another REDIS_PREFIX there or here", n, c.prefix)
	}
	if was := c.foreign.Swap(&warning); was != nil && *was == warning || was == nil && warning == "" {
		return
	}
	if warning == "" {
		c.log.Info("the foreign cluster is gone")
		return
	}
	c.log.Error(warning)
}

// withForeign adds what is wrong with this Redis to what an instance says.
func (c *Redis) withForeign(warning string) string {
	if foreign := c.foreign.Load(); foreign != nil && *foreign != "" {
		return strings.TrimPrefix(warning+"; "+*foreign, "; ")
	}
	return warning
}
