// Package revocation ends tokens before their time, on all instances at once.
//
//	operator ── api ──▶ Service.Revoke, Lift ── Store (Redis) ◀── every 2 s ── Service.Run of every instance
//	                        └── cluster.Ask ──▶ Service.Answer of every instance ──▶ auth.Revocations, CloseRevoked
//
// What is in force is kept in the store, so that it survives restarts, and each instance has a
// copy: it loads them at its start, when it is asked to, and when it notices that there are others.
// Without a store the process's own memory has to do.
package revocation

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/wire"
)

// Kind is that of the question that asks instances to load the revocations.
const Kind = "revocations"

// A Store keeps values for all instances; cluster.Redis is one.
type Store interface {
	// RevocationsVersion changes with each change; it is empty when the store has lost everything.
	RevocationsVersion(ctx context.Context) (string, error)
	LoadRevocations(ctx context.Context) (values map[string]string, version string, err error)
	PutRevocations(ctx context.Context, values map[string]string) error
	DeleteRevocations(ctx context.Context, ids ...string) error
}

// Options of a [Service]. All but Store are needed.
type Options struct {
	Revocations *auth.Revocations
	Cluster     func() cluster.Cluster
	// Store is nil for a single instance without Redis.
	Store Store
	// CloseRevoked closes the connections of this instance whose token was revoked, and returns how
	// many.
	CloseRevoked func() int
	// MaxAge is after how long the tokens that there are have expired; 0 for never.
	MaxAge time.Duration
	Log    *slog.Logger
	// Interval is how often the store is looked at (default 2 s).
	Interval time.Duration
}

// A Service revokes. It is safe for concurrent use.
type Service struct {
	Options

	mu      sync.Mutex // held while loading
	version string     // of what was loaded
}

// commandTimeout bounds each step with the store.
const commandTimeout = 2 * time.Second

// New returns a service, whose Load has to follow.
func New(o Options) *Service {
	if o.Interval == 0 {
		o.Interval = 2 * time.Second
	}
	return &Service{Options: o}
}

// An applied is what an instance answers.
type applied struct {
	Disconnected int `json:"disconnected"`
}

// Revoke puts a revocation in force on all instances, and returns it, how many connections were
// closed, and which instances answered. One that did not learns it from the store. The error is a
// *wire.Error: then nothing is revoked.
func (s *Service) Revoke(ctx context.Context, r auth.Revocation) (auth.Revocation, int, connadmin.FanOut, error) {
	now := time.Now()
	r.ID, r.Created = "r-"+rand.Text()[:16], now.UnixMilli()
	if r.Until == 0 && s.MaxAge > 0 {
		r.Until = now.Add(s.MaxAge).UnixMilli()
	}
	if err := r.Check(now); err != nil {
		return r, 0, connadmin.FanOut{}, err
	}
	if s.Revocations.Count(r.OfSession()) >= auth.MaxRevocations {
		return r, 0, connadmin.FanOut{}, wire.Errorf(wire.CodeLimitReached,
			"%d revocations are in force: lift some, or revoke with issuedBefore", auth.MaxRevocations)
	}
	if s.Store != nil {
		if err := s.put(ctx, r); err != nil {
			return r, 0, connadmin.FanOut{}, s.unavailable(err)
		}
	} else {
		s.Revocations.Add(r)
	}
	closed, fanOut, err := s.ask(ctx)
	s.Log.Info("tokens revoked", "revocation", r.ID, "user", r.User, "token", r.TokenID, "issuedBefore", r.IssuedBefore,
		"reason", r.Reason, "disconnected", closed)
	return r, closed, fanOut, err
}

// Lift ends a revocation on all instances, and reports whether it was in force. The error is a
// *wire.Error: then it still is.
func (s *Service) Lift(ctx context.Context, id string) (bool, connadmin.FanOut, error) {
	if !s.Revocations.Has(id) {
		return false, connadmin.FanOut{}, nil
	}
	if s.Store != nil {
		if err := s.lift(ctx, id); err != nil {
			return true, connadmin.FanOut{}, s.unavailable(err)
		}
	} else {
		s.Revocations.Remove(id)
	}
	_, fanOut, err := s.ask(ctx)
	s.Log.Info("revocation lifted", "revocation", id)
	return true, fanOut, err
}

func (s *Service) unavailable(err error) error {
	s.Log.Warn("revocations not changed", "error", err)
	return &wire.Error{Code: wire.CodeUnavailable, RetryAfter: 1000, Message: "Redis is not available, so nothing was changed: try again"}
}

// ask makes all instances, this one included, take over what is in the store.
func (s *Service) ask(ctx context.Context) (closed int, _ connadmin.FanOut, _ error) {
	answers, fanOut, err := connadmin.Ask[applied](ctx, s.Cluster(), Kind, struct{}{})
	for _, a := range answers {
		closed += a.Disconnected
	}
	return closed, fanOut, err
}

// Answer is asked by an instance that has changed the revocations: a [cluster.Answerer] of Kind.
func (s *Service) Answer(ctx context.Context, _ cluster.Question) (any, error) {
	closed, err := s.load(ctx)
	return applied{closed}, err
}

// Load takes over what is in the store: once at the start, before anybody connects.
func (s *Service) Load(ctx context.Context) error {
	_, err := s.load(ctx)
	return err
}

func (s *Service) load(ctx context.Context) (closed int, err error) {
	if s.Store == nil {
		return s.CloseRevoked(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	values, version, err := s.Store.LoadRevocations(ctx)
	if err != nil {
		return 0, fmt.Errorf("load the revocations: %w", err)
	}
	now := time.Now()
	all := map[string]auth.Revocation{}
	for _, r := range s.Revocations.List() {
		if _, stored := values[r.ID]; !stored {
			all[r.ID] = r // Redis was emptied, or lost it: what was revoked stays
		}
	}
	if err := s.put(ctx, slices.Collect(maps.Values(all))...); err != nil {
		return 0, fmt.Errorf("give back the revocations: %w", err)
	}
	var over []string
	for id, text := range values {
		var r stored
		if err := json.Unmarshal([]byte(text), &r); err != nil || r.ID != id || r.User+r.TokenID == "" && r.IssuedBefore == 0 {
			s.Log.Warn("revocation in Redis not readable", "revocation", id, "error", err)
			continue
		}
		switch {
		case r.Over(now):
			over = append(over, id)
		case !r.Lifted:
			all[id] = r.Revocation
		}
	}
	s.Revocations.Replace(slices.Collect(maps.Values(all)))
	s.version = version
	if len(over) > 0 {
		if err := s.Store.DeleteRevocations(ctx, over...); err != nil {
			s.Log.Debug("revocations that are over not deleted", "error", err)
		}
	}
	return s.CloseRevoked(), nil
}

// A stored revocation. One that was lifted stays until it would have been over, so that an instance
// that was away does not give it back.
type stored struct {
	auth.Revocation
	Lifted bool `json:"lifted,omitempty"`
}

// liftedFor is how long a revocation without an end stays stored after it was lifted.
const liftedFor = 30 * 24 * time.Hour

func (s *Service) put(ctx context.Context, all ...auth.Revocation) error {
	values := map[string]stored{}
	for _, r := range all {
		values[r.ID] = stored{Revocation: r}
	}
	return s.store(ctx, values)
}

func (s *Service) lift(ctx context.Context, id string) error {
	lifted := stored{Lifted: true}
	for _, r := range s.Revocations.List() {
		if r.ID == id {
			lifted.Revocation = r
		}
	}
	if lifted.Until == 0 {
		lifted.Until = time.Now().Add(liftedFor).UnixMilli()
	}
	return s.store(ctx, map[string]stored{id: lifted})
}

func (s *Service) store(ctx context.Context, values map[string]stored) error {
	if len(values) == 0 {
		return nil
	}
	texts := map[string]string{}
	for id, r := range values {
		p, err := json.Marshal(r)
		if err != nil {
			return err
		}
		texts[id] = string(p)
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	return s.Store.PutRevocations(ctx, texts)
}

// Run takes over what others change and this instance was not told, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	if s.Store == nil {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(s.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.sync(ctx); err != nil {
				s.Log.Debug("revocations not compared with Redis", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// sync loads what has changed.
func (s *Service) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	version, err := s.Store.RevocationsVersion(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	known := s.version
	s.mu.Unlock()
	if version == known {
		return nil
	}
	_, err = s.load(ctx)
	return err
}
