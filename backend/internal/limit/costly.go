package limit

import (
	"sync"
	"time"
)

// What is spent on costly work: a tenth of the time, and three seconds at once before that.
const (
	costlyShare = 0.1
	costlyBurst = 3 * time.Second
)

// A Budget is the time that costly work may take which strangers can ask for as often as they like.
// It belongs to one goroutine, or is used under a lock, so that work is done once for all who wait.
type Budget struct {
	spent time.Duration
	at    time.Time // when spent was counted
}

// Do works, if there is time left, and reports whether it did.
func (b *Budget) Do(work func()) bool {
	began := time.Now()
	b.spent = max(0, b.spent-time.Duration(costlyShare*float64(began.Sub(b.at))))
	b.at = began
	if b.spent >= costlyBurst {
		return false
	}
	work()
	b.spent += time.Since(began)
	return true
}

// Within returns what does costly work within a [Budget] of its own, for one goroutine at a time,
// and reports whether it did.
func Within() func(work func()) bool {
	var mu sync.Mutex
	var b Budget
	return func(work func()) bool {
		mu.Lock()
		defer mu.Unlock()
		return b.Do(work)
	}
}

// A Costly value is computed anew when it is asked for, within a [Budget]; who asks beyond that
// gets the last value.
type Costly[T any] struct {
	compute func() T

	mu     sync.Mutex
	budget Budget
	value  T
}

// NewCostly returns a value that is computed by a function.
func NewCostly[T any](compute func() T) *Costly[T] { return &Costly[T]{compute: compute} }

// Get returns the value, which is the caller's to read only.
func (c *Costly[T]) Get() T {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget.Do(func() { c.value = c.compute() })
	return c.value
}
