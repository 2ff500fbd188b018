package cluster

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// The states of a node.
const (
	Ready    = "ready"
	NotReady = "not ready"
	Draining = "draining"
)

// A Readiness finds out whether this instance may take traffic: for /readyz, the announcement and
// the dashboard alike. It is safe for concurrent use.
type Readiness struct {
	health  func() error // of the broker
	leaving atomic.Bool
	drained atomic.Bool

	mu        sync.Mutex
	downSince time.Time // zero while the broker is up
	upSince   time.Time // zero while it is down
}

// NewReadiness returns the readiness of an instance whose broker has this health.
func NewReadiness(health func() error) *Readiness { return &Readiness{health: health} }

// Leave notes that the instance is shutting down.
func (r *Readiness) Leave() { r.leaving.Store(true) }

// Leaving reports whether the instance is shutting down.
func (r *Readiness) Leaving() bool { return r.leaving.Load() }

// SetDrained notes that an operator takes the instance out of service, or puts it back.
func (r *Readiness) SetDrained(is bool) { r.drained.Store(is) }

// A Status is the readiness at one moment.
type Status struct {
	State string
	// Why says why the state is Draining; else empty.
	Why string
	// Broker is why the broker can't be used, or not for all; nil while it can. BrokerDownSince is
	// when that was first seen, BrokerUpSince when it was first seen to be used again.
	Broker                         error
	BrokerDownSince, BrokerUpSince time.Time
}

// Status asks the broker. It does not block on the network.
func (r *Readiness) Status() Status {
	s := Status{State: Ready, Broker: r.health()}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	switch {
	case s.Broker == nil && r.upSince.IsZero():
		r.upSince, r.downSince = now, time.Time{}
	case s.Broker != nil && r.downSince.IsZero():
		r.upSince, r.downSince = time.Time{}, now
	}
	s.BrokerUpSince, s.BrokerDownSince = r.upSince, r.downSince
	switch {
	case r.leaving.Load():
		s.State, s.Why = Draining, "this instance is shutting down"
	case r.drained.Load():
		s.State, s.Why = Draining, "this instance is drained by an operator"
	case !s.BrokerUp():
		s.State = NotReady
	}
	return s
}

// isEverywhere reports whether an error of the broker is the same for all instances, so that taking
// this one out of the balancer would help nobody.
func isEverywhere(err error) bool {
	var e interface{ Everywhere() bool }
	return errors.As(err, &e) && e.Everywhere()
}

// BrokerUp reports whether the broker can be reached, though it may take nothing: which it would
// not from any other instance either.
func (s Status) BrokerUp() bool { return s.Broker == nil || isEverywhere(s.Broker) }

// Reasons says why the instance should get no traffic; nothing when it may.
func (s Status) Reasons() (reasons []string) {
	if s.State == Draining {
		reasons = append(reasons, s.Why)
	}
	if !s.BrokerUp() {
		reasons = append(reasons, "broker: "+s.Broker.Error())
	}
	return reasons
}

// Warnings says what does not work on any instance; nothing when all does.
func (s Status) Warnings() (warnings []string) {
	if s.Broker != nil && s.BrokerUp() {
		warnings = append(warnings, "broker: "+s.Broker.Error())
	}
	return warnings
}
