package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// drainCommand is for hooks of images that have no other program to send a signal with.
type drainCommand struct {
	PID     int           `name:"pid" default:"1" help:"Process id of the instance; in a container it is 1."`
	Timeout time.Duration `default:"30s" help:"How long to wait for its end."`
}

// Run is called by kong.
func (c *drainCommand) Run(ctx context.Context) error {
	process, err := os.FindProcess(c.PID)
	if err == nil {
		err = process.Signal(syscall.SIGTERM)
	}
	if err != nil {
		return &startError{fmt.Errorf("--pid %d: %w: give the process id of an instance that runs", c.PID, err)}
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	for process.Signal(syscall.Signal(0)) == nil { // which only looks whether it is there
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return errors.New("the instance is still there: give it more time with --timeout, at least DRAIN_DELAY + DRAIN_TIMEOUT")
		}
	}
	return nil
}
