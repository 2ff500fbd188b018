package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/revocation"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// A store is shared by instances, and can be away.
type store struct {
	mu      sync.Mutex
	values  map[string]string
	changes int
	away    bool
}

// do runs f unless the store is away.
func (s *store) do(f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errors.New("away")
	}
	f()
	return nil
}

func (s *store) setAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func (s *store) empty() { _ = s.do(func() { s.values = nil }) }

func (s *store) size() (n int) {
	_ = s.do(func() { n = len(s.values) })
	return n
}

func (s *store) versionLocked() string {
	if s.values == nil {
		return ""
	}
	return fmt.Sprint(s.changes)
}

func (s *store) RevocationsVersion(context.Context) (version string, err error) {
	err = s.do(func() { version = s.versionLocked() })
	return version, err
}

func (s *store) LoadRevocations(context.Context) (values map[string]string, version string, err error) {
	err = s.do(func() { values, version = maps.Clone(s.values), s.versionLocked() })
	return values, version, err
}

func (s *store) PutRevocations(_ context.Context, values map[string]string) error {
	return s.do(func() {
		if s.values == nil {
			s.values = map[string]string{}
		}
		maps.Copy(s.values, values)
		s.changes++
	})
}

func (s *store) DeleteRevocations(_ context.Context, ids ...string) error {
	return s.do(func() {
		for _, id := range ids {
			delete(s.values, id)
		}
		s.changes++
	})
}

// An instance is told nothing by others: it has to look by itself.
type instance struct {
	*revocation.Service
	checked atomic.Int64 // how often its connections were
}

func newInstance(s *store) *instance {
	i := new(instance)
	alone := &cluster.Alone{Self: func() cluster.Node { return cluster.Node{Name: "n"} }}
	o := revocation.Options{Revocations: new(auth.Revocations), Store: s, MaxAge: time.Hour, Log: slog.New(slog.DiscardHandler),
		Cluster: func() cluster.Cluster { return alone }, CloseRevoked: func() int { i.checked.Add(1); return 0 }}
	i.Service = revocation.New(o)
	alone.Answer = i.Answer
	return i
}

func (i *instance) revokes(user string) bool {
	return i.Revocations.Matches(&auth.Identity{User: user})
}

// What an instance missed, since it was away or Redis was, it learns within seconds, and then looks
// at its connections.
func TestAnInstanceLearnsWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := new(store)
		one, two := newInstance(shared), newInstance(shared)
		for _, i := range []*instance{one, two} {
			testkit.Must(t, i.Load(t.Context()))
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go two.Run(ctx)
		r, _, _, err := one.Revoke(ctx, auth.Revocation{User: "anna"})
		testkit.Must(t, err)
		if !one.revokes("anna") || two.revokes("anna") {
			t.Errorf("one: %v, two: %v", one.revokes("anna"), two.revokes("anna"))
		}
		before := two.checked.Load()
		time.Sleep(3 * time.Second)
		if !two.revokes("anna") || two.checked.Load() != before+1 {
			t.Errorf("after 3 s: %v, connections checked %d times", two.revokes("anna"), two.checked.Load()-before)
		}
		shared.setAway(true)
		time.Sleep(time.Minute)
		if !two.revokes("anna") {
			t.Error("Redis going away lifted a revocation")
		}
		shared.setAway(false)
		found, _, err := one.Lift(ctx, r.ID)
		if err != nil || !found {
			t.Errorf("lifting: %v, %v", found, err)
		}
		time.Sleep(3 * time.Second)
		if two.revokes("anna") {
			t.Error("a revocation was lifted, and an instance has not noticed")
		}
	})
}

// Redis that comes back empty gets the revocations back from those who know them.
func TestRevocationsSurviveAnEmptyStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := new(store)
		one := newInstance(shared)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go one.Run(ctx)
		_, _, _, err := one.Revoke(ctx, auth.Revocation{User: "anna"})
		testkit.Must(t, err)
		shared.empty()
		time.Sleep(3 * time.Second)
		two := newInstance(shared)
		testkit.Must(t, two.Load(ctx))
		if !one.revokes("anna") || !two.revokes("anna") {
			t.Errorf("one: %v, two: %v", one.revokes("anna"), two.revokes("anna"))
		}
	})
}

func TestRevocationsEndWithTheTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := new(store)
		one := newInstance(shared)
		_, _, _, err := one.Revoke(t.Context(), auth.Revocation{User: "anna"})
		testkit.Must(t, err)
		time.Sleep(time.Hour + time.Second)
		testkit.Must(t, one.Load(t.Context()))
		if one.revokes("anna") || shared.size() != 0 {
			t.Errorf("still in force: %v, and %d kept", one.revokes("anna"), shared.size())
		}
	})
}

// Without Redis nothing changes, and the operator is told.
func TestWithoutTheStoreNothingIsRevoked(t *testing.T) {
	shared := &store{away: true}
	one := newInstance(shared)
	_, _, _, err := one.Revoke(t.Context(), auth.Revocation{User: "anna"})
	if wire.AsError(err).Code != wire.CodeUnavailable || one.revokes("anna") {
		t.Errorf("got %v, revoked %v", err, one.revokes("anna"))
	}
}

// A store that lost what was revoked gets it back, also when something was revoked there since.
func TestRevocationsSurviveAStoreThatLostThem(t *testing.T) {
	shared := new(store)
	one, two := newInstance(shared), newInstance(shared)
	_, _, _, err := one.Revoke(t.Context(), auth.Revocation{User: "anna"})
	testkit.Must(t, err)
	testkit.Must(t, two.Load(t.Context()))
	shared.empty()
	_, _, _, err = two.Revoke(t.Context(), auth.Revocation{User: "bert"})
	testkit.Must(t, err)
	testkit.Must(t, one.Load(t.Context()))
	three := newInstance(shared)
	testkit.Must(t, three.Load(t.Context()))
	for name, i := range map[string]*instance{"one": one, "two": two, "three": three} {
		if !i.revokes("anna") || !i.revokes("bert") {
			t.Errorf("%s: anna %v, bert %v", name, i.revokes("anna"), i.revokes("bert"))
		}
	}
}

// Who was away while a revocation was lifted does not bring it back.
func TestALiftedRevocationStaysLifted(t *testing.T) {
	shared := new(store)
	one, away := newInstance(shared), newInstance(shared)
	r, _, _, err := one.Revoke(t.Context(), auth.Revocation{User: "anna"})
	testkit.Must(t, err)
	testkit.Must(t, away.Load(t.Context()))
	_, _, err = one.Lift(t.Context(), r.ID)
	testkit.Must(t, err)
	testkit.Must(t, away.Load(t.Context()))
	testkit.Must(t, one.Load(t.Context()))
	if one.revokes("anna") || away.revokes("anna") {
		t.Errorf("one: %v, the one that was away: %v", one.revokes("anna"), away.revokes("anna"))
	}
}

// A revocation that names nobody, as one of a later version may, revokes nobody.
func TestARevocationThatNamesNobodyRevokesNobody(t *testing.T) {
	shared := &store{values: map[string]string{"r-1": `{"id":"r-1","warehouse":"w1"}`}}
	one := newInstance(shared)
	testkit.Must(t, one.Load(t.Context()))
	if one.revokes("anna") {
		t.Error("everybody is revoked")
	}
}
