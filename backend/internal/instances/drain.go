package instances

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/incidents"
)

// A Gate is what lets clients in: a *transport.Gate.
type Gate interface {
	Drain(ctx context.Context) (moved, cut int)
	Reopen()
}

// DrainOptions are those of a [Drainer]. All are needed.
type DrainOptions struct {
	Gate        Gate
	Readiness   *cluster.Readiness
	Connections func() int
	// HasOther asks the other instances now whether one of them takes clients, and says whether all
	// are known.
	HasOther func(context.Context) (has, known bool)
	// Delay is between being not ready and the first client that is sent away, Timeout how long
	// sending them away takes at most.
	Delay, Timeout time.Duration
	Record         func(incidents.Incident)
	Log            *slog.Logger
}

// A Drainer takes this instance out of service, and puts it back. It works while Run does.
type Drainer struct {
	DrainOptions
	begin chan running // wakes Run; holds one

	mu      sync.Mutex
	current *running // nil while in service
}

// A running is a drain under way, or one that is over with nobody left.
type running struct {
	Drain
	ctx    context.Context // ends when it is cancelled
	cancel context.CancelFunc
	ended  chan struct{} // closed when the instance is in service again
}

// NewDrainer returns a drainer of an instance that is in service.
func NewDrainer(o DrainOptions) *Drainer {
	return &Drainer{DrainOptions: o, begin: make(chan running, 1)}
}

// Why an instance can't be drained, or put back.
var (
	ErrNoOther  = errors.New("no other instance is ready: its clients would have nowhere to go")
	errLeaving  = errors.New("it is shutting down")
	errUnderway = errors.New("it is being put back into service: try again in a moment")
)

// State returns how far the drain is; nil while the instance is in service.
func (d *Drainer) State() *Drain {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == nil {
		return nil
	}
	state := d.current.Drain
	return &state
}

// Start begins to drain for an operator. One that is drained already stays as it is.
func (d *Drainer) Start(ctx context.Context, by string) error {
	if d.State() == nil && !d.Readiness.Leaving() {
		if has, _ := d.HasOther(ctx); !has { // without mu: this instance is asked, too
			return ErrNoOther
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.Readiness.Leaving():
		return errLeaving
	case d.current != nil && d.current.ctx.Err() != nil:
		return errUnderway
	case d.current != nil:
		return nil
	}
	one := running{Drain: Drain{time.Now(), by, d.Connections()}, ended: make(chan struct{})}
	one.ctx, one.cancel = context.WithCancel(context.Background())
	d.current = &one
	d.Readiness.SetDrained(true)
	d.begin <- one // there is room: the one before is over
	return nil
}

// Cancel puts the instance back into service, and returns when it is, or ctx ends. One that is in
// service stays so.
func (d *Drainer) Cancel(ctx context.Context) error {
	d.mu.Lock()
	one := d.current
	d.mu.Unlock()
	if one == nil {
		return nil
	}
	if d.Readiness.Leaving() {
		return errLeaving
	}
	one.cancel()
	select {
	case <-one.ended:
		return nil
	case <-ctx.Done():
		return errUnderway
	}
}

// Run drains when it is told to, until ctx ends: then the instance shuts down, whatever it did.
func (d *Drainer) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case one := <-d.begin:
			stop := context.AfterFunc(ctx, one.cancel)
			why := d.drain(one)
			stop()
			if ctx.Err() != nil {
				return
			}
			d.putBack(one, why)
		}
	}
}

// drain sends the clients away, and returns when it is cancelled, or why it ends by itself.
func (d *Drainer) drain(one running) (why string) {
	defer one.cancel()
	d.Log.Info("drained by an operator: not ready any more", "by", one.By, "connections", one.Connections, "serving_for", d.Delay)
	d.Record(incidents.Incident{Kind: incidents.DrainBegun, Detail: fmt.Sprintf("%d clients, by an operator; it goes on running", one.Connections)})
	select {
	case <-time.After(d.Delay):
	case <-one.ctx.Done():
		return "cancelled by an operator"
	}
	// Others may have been drained at the same time. Of two that look after they are not ready any
	// more, one sees the other.
	if has, known := d.HasOther(one.ctx); !has && known && one.ctx.Err() == nil {
		return ErrNoOther.Error()
	}
	sending, stop := context.WithTimeout(one.ctx, d.Timeout)
	moved, cut := d.Gate.Drain(sending)
	stop()
	if one.ctx.Err() == nil {
		d.Log.Info("drained", "moved", moved, "cut", cut)
	}
	<-one.ctx.Done()
	return "cancelled by an operator"
}

// putBack lets clients in again.
func (d *Drainer) putBack(one running, why string) {
	d.Gate.Reopen()
	d.Readiness.SetDrained(false)
	d.Log.Info("in service again", "why", why)
	d.Record(incidents.Incident{Kind: incidents.DrainEnded, Detail: why, Lasted: time.Since(one.Since).Milliseconds()})
	d.mu.Lock()
	d.current = nil
	d.mu.Unlock()
	close(one.ended)
}
