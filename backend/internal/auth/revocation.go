package auth

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// MaxRevocations bounds how many may be in force.
const MaxRevocations = 10_000

// SessionPrefix, before its ID, is the token ID under which the session of an operator is ended who
// has signed out. These are not listed.
const SessionPrefix = "operator-session:"

// A Revocation ends tokens before their time: all of a user, one by its ID, or those issued before
// a time, of a user or of everybody. Times are milliseconds since 1970. Its JSON is kept in Redis,
// read by neighbouring versions: fields may be added, never changed.
type Revocation struct {
	ID           string `json:"id"`
	User         string `json:"user,omitempty"`
	TokenID      string `json:"tokenId,omitempty"`
	IssuedBefore int64  `json:"issuedBefore,omitempty"`
	Reason       string `json:"reason,omitempty"`
	Created      int64  `json:"created"`
	// Until is when it ends: then the tokens have expired anyway. 0 for when it is lifted.
	Until int64 `json:"until,omitempty"`
}

// Check says what is wrong with a revocation that is made now. The error is a *wire.Error.
func (r Revocation) Check(now time.Time) error {
	switch {
	case r.User == "" && r.TokenID == "" && r.IssuedBefore == 0:
		return wire.Errorf(wire.CodeInvalidData, "this would revoke nothing: give user, tokenId, issuedBefore, or user and issuedBefore")
	case r.TokenID != "" && (r.User != "" || r.IssuedBefore != 0):
		return wire.Errorf(wire.CodeInvalidData, "tokenId names one token: leave user and issuedBefore out")
	case len(r.User) > maxSubjectBytes, len(r.TokenID) > maxTokenIDBytes:
		return wire.Errorf(wire.CodeInvalidData, "user and tokenId have at most %d bytes", maxSubjectBytes)
	case len(r.Reason) > 256:
		return wire.Errorf(wire.CodeInvalidData, "reason has %d bytes: at most 256 are allowed", len(r.Reason))
	case r.IssuedBefore < 0 || r.IssuedBefore > now.Add(time.Minute).UnixMilli():
		return wire.Errorf(wire.CodeInvalidData, "issuedBefore is in the future: give milliseconds since 1970, up to now")
	case r.IssuedBefore > 0 && r.IssuedBefore < now.UnixMilli()/100:
		return wire.Errorf(wire.CodeInvalidData, "issuedBefore is %d: give milliseconds since 1970, not seconds", r.IssuedBefore)
	case r.Until != 0 && r.Over(now) || r.Until > lastSecond*1000:
		return wire.Errorf(wire.CodeInvalidData, "until is over: give milliseconds since 1970, or leave it out")
	}
	return nil
}

// covers reports whether the revocation, which is of the identity's user, or of everybody, ends it:
// all of a user's, or those that don't say that they were issued later.
func (r Revocation) covers(i *Identity) bool {
	return r.IssuedBefore == 0 || i.IssuedAt.IsZero() || i.IssuedAt.UnixMilli() < r.IssuedBefore
}

// Over reports whether it has ended.
func (r Revocation) Over(now time.Time) bool { return r.Until != 0 && r.Until <= now.UnixMilli() }

// Revocations are those that are in force. They are safe for concurrent use; asking takes no lock.
type Revocations struct {
	index atomic.Pointer[revocationIndex]

	mu  sync.Mutex
	all map[string]Revocation // by ID
}

// A revocationIndex does not change.
type revocationIndex struct {
	users    map[string][]Revocation
	tokens   map[string][]Revocation
	everyone []Revocation
}

// Matches reports whether someone's token was revoked.
func (r *Revocations) Matches(i *Identity) bool {
	index := r.index.Load()
	if index == nil || !i.HasToken() {
		return false
	}
	now := time.Now()
	matches := func(all []Revocation) bool {
		return slices.ContainsFunc(all, func(one Revocation) bool { return !one.Over(now) && one.covers(i) })
	}
	return i.User != "" && matches(index.users[i.User]) || i.TokenID != "" && matches(index.tokens[i.TokenID]) ||
		matches(index.everyone)
}

// List returns those in force, the newest first.
func (r *Revocations) List() []Revocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(r.all, func(_ string, one Revocation) bool { return one.Over(now) })
	list := slices.AppendSeq([]Revocation{}, maps.Values(r.all)) // never nil: in JSON a list
	slices.SortFunc(list, func(x, y Revocation) int {
		if x.Created != y.Created {
			return int(min(max(y.Created-x.Created, -1), 1))
		}
		return strings.Compare(x.ID, y.ID)
	})
	return list
}

// HasToken reports whether the token of this ID was revoked by it.
func (r *Revocations) HasToken(id string) bool {
	index := r.index.Load()
	now := time.Now()
	return index != nil && slices.ContainsFunc(index.tokens[id], func(one Revocation) bool { return !one.Over(now) })
}

// OfSession reports whether it ends a session of an operator.
func (r Revocation) OfSession() bool { return strings.HasPrefix(r.TokenID, SessionPrefix) }

// Count returns how many are in force: those that end sessions, or the others.
func (r *Revocations) Count(sessions bool) (n int) {
	for _, one := range r.List() {
		if one.OfSession() == sessions {
			n++
		}
	}
	return n
}

// Has reports whether one of this ID is in force.
func (r *Revocations) Has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.all[id]
	return ok
}

// Add adds one.
func (r *Revocations) Add(one Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[string]Revocation{}
	}
	r.all[one.ID] = one
	r.build()
}

// Remove lifts one.
func (r *Revocations) Remove(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, id)
	r.build()
}

// Replace puts others in the place of all.
func (r *Revocations) Replace(all []Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = map[string]Revocation{}
	for _, one := range all {
		r.all[one.ID] = one
	}
	r.build()
}

// build makes the index; the caller holds the lock.
func (r *Revocations) build() {
	now := time.Now()
	maps.DeleteFunc(r.all, func(_ string, one Revocation) bool { return one.Over(now) })
	index := &revocationIndex{users: map[string][]Revocation{}, tokens: map[string][]Revocation{}}
	for _, one := range r.all {
		switch {
		case one.TokenID != "":
			index.tokens[one.TokenID] = append(index.tokens[one.TokenID], one)
		case one.User != "":
			index.users[one.User] = append(index.users[one.User], one)
		default:
			index.everyone = append(index.everyone, one)
		}
	}
	r.index.Store(index)
}
