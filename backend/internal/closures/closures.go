// Package closures remembers which connections ended lately and why, for operators.
//
//	transport.Gate ── Closed, Refused ──▶ Ring of every instance
//	dashboard ──▶ Client ── cluster.Ask ──▶ Handler of every instance ──▶ its Ring, and the hub's sessions
//	                ◀── pages, merged ─────────────┘
//
// A long poll is no connection that ends: it is not remembered.
package closures

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// Kept is how many connections an instance remembers: the last ones that ended.
	Kept = 2000
	// MaxPage is the most connections in one page.
	MaxPage = 200
	// maxRooms is how many rooms of each are named.
	maxRooms = 8
)

// A Closure is a connection that ended.
type Closure struct {
	Time      time.Time `json:"time"`
	Opened    time.Time `json:"opened"`
	ID        string    `json:"connectionId"`
	Node      string    `json:"node"`
	User      string    `json:"userId,omitempty"`
	Transport string    `json:"transport"`
	Address   string    `json:"address,omitempty"`
	Agent     string    `json:"userAgent,omitempty"`
	// Code is the name of the close code; Why says more, where the server knows more.
	Code string `json:"code"`
	Why  string `json:"why,omitempty"`
	// Rooms are the first of those that it was in, MoreRooms how many more there were.
	Rooms     []string `json:"rooms"`
	MoreRooms int      `json:"moreRooms,omitempty"`
	Duration  int64    `json:"duration"` // how long it was here, in ms
	Sent      uint64   `json:"messagesSent"`
	// Returned is when its client came back, in µs since 1970, as far as can be told: a connection
	// of the same user to the same rooms, or without a user, from the same address with the same
	// User-Agent. 0 for not yet.
	Returned int64 `json:"returned,omitempty"`
	// Client tells clients apart over several connections, between instances.
	Client string `json:"client"`
}

// client is what tells clients apart.
func client(user, address, agent string, rooms []string) string {
	who := user
	if who == "" {
		who = address + "\x00" + agent
	}
	return who + "\x00" + strings.Join(rooms, " ")
}

// named returns the first rooms in the order of their names, and how many more there are.
func named(rooms []wire.Room) (names []string, more int) {
	names = make([]string, len(rooms))
	for i, r := range rooms {
		names[i] = r.String()
	}
	slices.Sort(names)
	more = max(0, len(names)-maxRooms)
	return names[:len(names)-more], more
}

const (
	// What ended is counted in slots of this length, for the last five minutes.
	slotLength, slots = 5 * time.Second, 60
	slotsOfMinute     = int64(time.Minute / slotLength)
	// RefusedPrefix begins the reasons of those that were refused before they were connected.
	RefusedPrefix = "refused:"
)

// A slot counts what ended in a few seconds, by code or reason.
type slot struct {
	number int64 // Unix time / slotLength
	counts map[string]int
}

// A Ring is safe for concurrent use. One that is nil remembers nothing.
type Ring struct {
	// Static after NewRing.
	node      string
	onRefused func(reason string)

	mu      sync.Mutex
	entries []Closure // of at most Kept; the oldest is at next, once it is full
	next    int
	slots   [slots]slot
}

// NewRing returns an empty ring of an instance of this name. onRefused, if not nil, is told the
// reason of each refusal.
func NewRing(node string, onRefused func(reason string)) *Ring {
	if onRefused == nil {
		onRefused = func(string) {}
	}
	return &Ring{node: node, onRefused: onRefused}
}

// Closed remembers a session that ended, which was in these rooms.
func (r *Ring) Closed(s *hub.Session, code wire.CloseCode, rooms []wire.Room, stats hub.SessionStats) {
	if r == nil {
		return
	}
	names, more := named(rooms)
	c := Closure{Time: time.Now().UTC().Truncate(time.Microsecond), Opened: s.Opened, ID: s.ID, Node: r.node, User: s.User,
		Transport: s.Queue.Transport(), Address: s.Peer.Address, Agent: s.Peer.Agent(), Code: code.String(), Why: s.Why(),
		Rooms: names, MoreRooms: more, Duration: stats.Duration.Milliseconds(), Sent: stats.Messages,
		Client: client(s.User, s.Peer.Address, s.Peer.Agent(), names)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.entries) < Kept {
		r.entries = append(r.entries, c)
	} else {
		r.entries[r.next] = c
		r.next = (r.next + 1) % Kept
	}
	r.countLocked(c.Code, c.Time)
}

// Refused counts a connection that was refused before it was open, by a reason of a few.
func (r *Ring) Refused(reason string) {
	if r == nil {
		return
	}
	r.onRefused(reason)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.countLocked(RefusedPrefix+reason, time.Now())
}

func (r *Ring) countLocked(reason string, at time.Time) {
	number := at.Unix() / int64(slotLength/time.Second)
	s := &r.slots[number%slots]
	if s.number != number {
		*s = slot{number: number, counts: map[string]int{}}
	}
	s.counts[reason]++
}

// A Churn counts the connections that ended, or were refused, for one reason.
type Churn struct {
	// Reason is the name of a close code, or after "refused:" that of a refusal.
	Reason      string `json:"reason"`
	Minute      int    `json:"lastMinute"`
	FiveMinutes int    `json:"lastFiveMinutes"`
}

// churn counts by reason.
func (r *Ring) churn(now time.Time) (all []Churn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	number := now.Unix() / int64(slotLength/time.Second)
	for i := range r.slots {
		s := &r.slots[i]
		if number-s.number >= slots {
			continue
		}
		for reason, n := range s.counts {
			c := Churn{Reason: reason, FiveMinutes: n}
			if number-s.number < slotsOfMinute {
				c.Minute = n
			}
			all = append(all, c)
		}
	}
	return sum(all)
}

// sum adds up what has the same reason, and sorts by how often it was.
func sum(all []Churn) []Churn {
	by := map[string]Churn{}
	for _, c := range all {
		t := by[c.Reason]
		by[c.Reason] = Churn{c.Reason, t.Minute + c.Minute, t.FiveMinutes + c.FiveMinutes}
	}
	total := make([]Churn, 0, len(by))
	for _, c := range by {
		total = append(total, c)
	}
	slices.SortFunc(total, func(a, b Churn) int {
		return cmp.Or(cmp.Compare(b.FiveMinutes, a.FiveMinutes), cmp.Compare(a.Reason, b.Reason))
	})
	return total
}

// all returns what is remembered, the last ones first.
func (r *Ring) all() []Closure {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := append(slices.Clone(r.entries[r.next:]), r.entries[:r.next]...)
	slices.Reverse(all)
	return all
}
