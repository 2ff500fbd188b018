package transport

import (
	"slices"
	"sync"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// newest knows the open sessions of each user, over all transports, where the newest replaces the
// oldest: one whose network dropped silently keeps nobody out.
type newest struct {
	most int // of one user; 0 is no limit

	mu sync.Mutex
	of map[string][]*hub.Session // oldest first
}

// add adds a session, once, and ends those that are too many.
func (n *newest) add(user string, s *hub.Session) {
	if n.most == 0 || user == "" {
		return
	}
	n.mu.Lock()
	all := n.of[user]
	if slices.Contains(all, s) {
		n.mu.Unlock()
		return
	}
	all = append(all, s)
	replaced := slices.Clone(all[:max(0, len(all)-n.most)])
	if n.of == nil {
		n.of = map[string][]*hub.Session{}
	}
	n.of[user] = slices.Delete(all, 0, len(replaced))
	n.mu.Unlock()
	for _, old := range replaced {
		old.Queue.Close(wire.CloseReplaced, "a newer connection of the same user took this one's place (USER_LIMIT_POLICY=replace)")
	}
}

// remove removes a session that has ended.
func (n *newest) remove(user string, s *hub.Session) {
	if n.most == 0 || user == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	left := slices.DeleteFunc(n.of[user], func(other *hub.Session) bool { return other == s })
	if len(left) == 0 {
		delete(n.of, user)
		return
	}
	n.of[user] = left
}
