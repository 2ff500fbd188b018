// Package limit bounds how much one connection, user or address may do.
//
//	transport ── Bucket.Spend, Keyed.Spend ──▶ how long to wait, or go ahead
//	transport ── Count.Enter, Count.Leave ──▶ whether there is room
package limit

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// A Rate is a token bucket: Tokens at once, Refill more each second. Without tokens there is no
// limit.
type Rate struct {
	Tokens float64
	Refill float64 // per second
}

// Unlimited reports whether there is no limit.
func (r Rate) Unlimited() bool { return r.Tokens == 0 }

// A Bucket is full at first. It belongs to one goroutine.
type Bucket struct {
	spent float64 // tokens that are missing
	at    int64   // when, in ns since 1970: a time.Time would cost each connection 16 bytes more
}

// Spend takes n tokens and returns 0, or takes none and returns how long it takes until there are
// enough. More tokens than the bucket can hold are taken when it is full.
func (b *Bucket) Spend(r Rate, n float64, now time.Time) (wait time.Duration) {
	if r.Unlimited() {
		return 0
	}
	// A clock that goes back gives nothing and takes nothing.
	if passed := now.UnixNano() - b.at; passed > 0 {
		b.spent = max(0, b.spent-r.Refill*float64(passed)/float64(time.Second))
		b.at = now.UnixNano()
	}
	if over := b.spent + min(n, r.Tokens) - r.Tokens; over > 0 {
		if r.Refill == 0 {
			return math.MaxInt64
		}
		return max(time.Millisecond, time.Duration(over/r.Refill*float64(time.Second)))
	}
	b.spent += n
	return 0
}

// full reports whether the bucket has all its tokens, so that forgetting it changes nothing.
func (b *Bucket) full(r Rate, now time.Time) bool {
	return b.spent-r.Refill*float64(now.UnixNano()-b.at)/float64(time.Second) <= 0
}

// Keyed has a bucket for each key that was seen lately. Its methods may be called by several
// goroutines.
type Keyed struct {
	unlimited atomic.Bool // without a limit nobody waits for mu

	mu      sync.Mutex
	rate    Rate
	buckets map[string]*Bucket
	sweepAt int // how many buckets there may be before the full ones are forgotten
}

// NewKeyed returns an empty one.
func NewKeyed(r Rate) *Keyed {
	k := &Keyed{buckets: map[string]*Bucket{}, sweepAt: leastSweep}
	k.SetRate(r)
	return k
}

const leastSweep = 1024

// Spend is Bucket.Spend for the bucket of key. The empty key has no limit.
func (k *Keyed) Spend(key string, n float64, now time.Time) (wait time.Duration) {
	if key == "" || k.unlimited.Load() {
		return 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.buckets[key]
	if b == nil {
		k.sweep(now)
		b = new(Bucket)
		k.buckets[key] = b
	}
	return b.Spend(k.rate, n, now)
}

// SetRate puts another rate in force. What was spent stays spent.
func (k *Keyed) SetRate(r Rate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rate = r
	k.unlimited.Store(r.Unlimited())
}

// Rate is the one in force.
func (k *Keyed) Rate() Rate {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rate
}

// Return gives back n tokens that were spent, for what turned out to be free.
func (k *Keyed) Return(key string, n float64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if b := k.buckets[key]; b != nil {
		b.spent = max(0, b.spent-n)
	}
}

// sweep forgets the buckets that are full again, when there are twice as many as after the last
// sweep.
func (k *Keyed) sweep(now time.Time) {
	if len(k.buckets) < k.sweepAt {
		return
	}
	for key, b := range k.buckets {
		if b.full(k.rate, now) {
			delete(k.buckets, key)
		}
	}
	k.sweepAt = max(leastSweep, 2*len(k.buckets))
}

// A Count counts how many there are of each key, up to Most. Its methods may be called by several
// goroutines.
type Count struct {
	most atomic.Int64

	mu     sync.Mutex
	counts map[string]int
}

// NewCount returns an empty one; 0 is no limit.
func NewCount(most int) *Count {
	c := &Count{counts: map[string]int{}}
	c.most.Store(int64(most))
	return c
}

// SetMost puts another limit in force for those to come, and reports whether it could: without a
// limit nobody was counted, so there can't be one from now on, nor none.
func (c *Count) SetMost(most int) bool {
	if (c.most.Load() == 0) != (most == 0) {
		return false
	}
	c.most.Store(int64(most))
	return true
}

// Most is the limit; 0 is none.
func (c *Count) Most() int { return int(c.most.Load()) }

// Enter counts one in, unless that is one too many. The empty key has no limit.
func (c *Count) Enter(key string) bool {
	if key == "" || c.Most() == 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts[key] >= c.Most() {
		return false
	}
	c.counts[key]++
	return true
}

// Leave counts out one that entered.
func (c *Count) Leave(key string) {
	if key == "" || c.Most() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts[key]--; c.counts[key] <= 0 {
		delete(c.counts, key)
	}
}
