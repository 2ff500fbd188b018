package main

import (
	"sync"
	"time"
)

// costlyShare is the share of time that is spent on a costly value at most: a tenth.
const costlyShare = 10

// A costly value is counted anew when it is asked for, but not all the time: strangers may ask for the
// health figures as often as they like, and to count the members of all rooms of 19,000 connections
// takes a while.
type costly[T any] struct {
	count func() T

	mu    sync.Mutex // held while it is counted, which is done once for all who wait
	value T
	until time.Time // when it is counted anew
}

// get returns the value, which is the caller's to read only.
func (c *costly[T]) get() T {
	c.mu.Lock()
	defer c.mu.Unlock()
	if begun := time.Now(); !begun.Before(c.until) {
		c.value = c.count()
		took := time.Since(begun)
		c.until = begun.Add(costlyShare * took)
	}
	return c.value
}
