package publish

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// A Retry bounds how a client tries again. Between attempt n and the next it waits as long as the
// server asked to, plus a random time below Base × 2ⁿ⁻¹, itself at most Cap: publishers that
// failed together do not come back together.
type Retry struct {
	// Attempts is the most often that a request is sent; 1 never tries again.
	Attempts int
	// Base and Cap bound the random wait.
	Base, Cap time.Duration
	// Within bounds all attempts and waits of one request together. A wait that would end later is
	// not begun: the error comes back at once.
	Within time.Duration
}

// DefaultRetry bridges an absence of the server, or of its broker, of half a minute: as many
// attempts as fit in.
func DefaultRetry() Retry {
	return Retry{Attempts: math.MaxInt, Base: 100 * time.Millisecond, Cap: 2 * time.Second, Within: 30 * time.Second}
}

func (r Retry) check() error {
	if r.Attempts < 1 || r.Base < 0 || r.Cap < r.Base || r.Within <= 0 {
		return fmt.Errorf("the retry policy %+v needs Attempts ≥ 1, 0 ≤ Base ≤ Cap and Within > 0", r)
	}
	return nil
}

// wait returns how long to wait after the failed attempt n = 1, 2, 3 …
func (r Retry) wait(n int, after time.Duration) time.Duration {
	bound := r.Base
	for i := 1; i < n && bound < r.Cap; i++ {
		bound *= 2
	}
	bound = min(bound, r.Cap)
	if bound <= 0 {
		return after
	}
	return after + rand.N(bound)
}

// retrying calls attempt until it succeeds, fails for good, or a bound of c.retry or ctx is
// reached.
func (c *Client) retrying(ctx context.Context, attempt func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.retry.Within)
	defer cancel()
	for n := 1; ; n++ {
		err := c.attempt(ctx, attempt)
		if err == nil {
			return nil
		}
		after, again := temporary(err)
		switch {
		case !again:
			return err
		case ctx.Err() != nil:
			return stopped(ctx, n, err)
		case n >= c.retry.Attempts:
			return gaveUp(n, err)
		}
		wait := c.retry.wait(n, after)
		if deadline, ok := ctx.Deadline(); ok && wait >= time.Until(deadline) {
			return gaveUp(n, err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return stopped(ctx, n, err)
		}
	}
}

func (c *Client) attempt(ctx context.Context, attempt func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return attempt(ctx)
}

func gaveUp(n int, err error) error {
	if n == 1 {
		return err
	}
	return fmt.Errorf("gave up after %d attempts: %w", n, err)
}

// stopped keeps both: that ctx ended it, and what was wrong with the attempt before, unless that is
// the same thing.
func stopped(ctx context.Context, n int, err error) error {
	if errors.Is(err, ctx.Err()) {
		return gaveUp(n, err)
	}
	return fmt.Errorf("%w after %d attempts, the last of which failed: %w", ctx.Err(), n, err)
}
