//go:build linux

package worker

import (
	"context"
	"errors"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/delivery"
)

const (
	DoOpen    = "open"
	DoConnect = "connect"
	DoSend    = "send"
	DoSettle  = "settle"
	DoClose   = "close"
	// DoStop ends what is under way; it has no answer of its own.
	DoStop = "stop"
)

// A Command tells a worker what to do.
type Command struct {
	Do       string
	Job      *Job           `json:",omitempty"` // of DoOpen
	Step     *Step          `json:",omitempty"` // of DoSend
	Accepted []delivery.Set `json:",omitempty"` // of DoSettle, as is Most
	Most     time.Duration  `json:",omitempty"`
}

// A Reply is the result of a command.
type Reply struct {
	Accepted []delivery.Set `json:",omitempty"` // of DoSend, by the worker that publishes
	Partial  *Partial       `json:",omitempty"` // of DoSettle
	Stopped  string         `json:",omitempty"` // why it ended early
	Failure  string         `json:",omitempty"` // why it failed
}

const (
	StoppedRefused = "refused"
	StoppedAllLost = "deserted"
	StoppedByOrder = "stopped"
)

// A Request is a command with the context of its execution and the channel for its reply.
type Request struct {
	Command
	Context context.Context
	Reply   chan<- Reply
}

// Serve executes commands until DoClose or the end of the channel, and polls the connections in
// between. tick is called from its goroutine: each second, and with counts alone in between.
func Serve(requests <-chan Request, tick func(*Tick)) {
	var w *Worker
	defer func() {
		if w != nil {
			_ = w.Close()
		}
	}()
	for {
		next, ok, failed := wait(w, requests)
		if !ok {
			return
		}
		a := Reply{Failure: failed}
		if failed == "" {
			a = execute(&w, next, tick)
		}
		next.Reply <- a
		if next.Do == DoClose {
			return
		}
	}
}

// wait returns the next request, and polls the connections until it comes.
func wait(w *Worker, requests <-chan Request) (next Request, ok bool, failed string) {
	for w != nil && failed == "" {
		select {
		case next, ok = <-requests:
			return next, ok, ""
		default:
			if err := w.poll(pollInterval); err != nil {
				failed = err.Error()
			}
		}
	}
	next, ok = <-requests
	return next, ok, failed
}

func execute(w **Worker, o Request, tick func(*Tick)) (a Reply) {
	if err := o.check(); err != nil {
		return Reply{Failure: err.Error()}
	}
	var err error
	switch o.Do {
	case DoOpen:
		*w, err = Open(*o.Job, tick)
	case DoClose:
		if *w != nil {
			err = (*w).Close()
			*w = nil
		}
	default:
		if *w == nil {
			return Reply{Failure: "the worker has no job yet"}
		}
		switch o.Do {
		case DoConnect:
			_, err = (*w).Connect(o.Context)
		case DoSend:
			if o.Step.Window > 0 && (*w).clients == nil {
				return Reply{Failure: "the step has a window, and no client publishes over WebSocket"}
			}
			err = (*w).Send(o.Context, *o.Step)
			a.Accepted = (*w).Accepted()
		case DoSettle:
			a.Partial, err = (*w).Settle(o.Context, o.Accepted, o.Most)
		default:
			err = errors.New("unknown command: " + o.Do)
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrRefused):
		a.Stopped = StoppedRefused
	case errors.Is(err, ErrAllLost):
		a.Stopped = StoppedAllLost
	case o.Context.Err() != nil:
		a.Stopped = StoppedByOrder
	default:
		a.Failure = err.Error()
	}
	return a
}
