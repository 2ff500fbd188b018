package transport

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// userSessions knows the open sessions of each user, over all transports, where the newest replaces
// the oldest: one whose network dropped silently keeps nobody out.
type userSessions struct {
	limit atomic.Int64 // of one user; 0 is no limit

	mu     sync.Mutex
	byUser map[string][]*hub.Session // oldest first
}

// add adds a session, once, and ends those that are too many.
func (u *userSessions) add(user string, s *hub.Session) {
	limit := int(u.limit.Load())
	if limit == 0 || user == "" {
		return
	}
	u.mu.Lock()
	all := u.byUser[user]
	if slices.Contains(all, s) {
		u.mu.Unlock()
		return
	}
	all = append(all, s)
	replaced := slices.Clone(all[:max(0, len(all)-limit)])
	if u.byUser == nil {
		u.byUser = map[string][]*hub.Session{}
	}
	u.byUser[user] = slices.Delete(all, 0, len(replaced))
	u.mu.Unlock()
	for _, old := range replaced {
		old.Explain("a newer connection of the same user took its place")
		old.Queue.Close(wire.CloseReplaced, "a newer connection of the same user took this one's place (USER_LIMIT_POLICY=replace)")
	}
}

// remove removes a session that has ended.
func (u *userSessions) remove(user string, s *hub.Session) {
	if u.limit.Load() == 0 || user == "" {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	left := slices.DeleteFunc(u.byUser[user], func(other *hub.Session) bool { return other == s })
	if len(left) == 0 {
		delete(u.byUser, user)
		return
	}
	u.byUser[user] = left
}
