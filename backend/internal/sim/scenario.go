package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Scenario is what happens in one simulation. It follows from a seed; parts of it can be left
// out.
type Scenario struct {
	Seed        uint64
	Instances   int
	Clients     []Actor
	Publishers  []Actor
	Faults      []Fault
	History     int // messages kept of a room
	QueuedBytes int // for one connection
	Window      int // bytes that the kernel holds for one connection
	Sharded     bool
	Skew        time.Duration // of the clock of Redis
	Linger      time.Duration // for which a room without members stays subscribed to
	Length      time.Duration // until everything is healed
	Pace        time.Duration // of each publisher, on average
}

// An Actor is a client or a publisher.
type Actor struct {
	Name  string
	Kind  string // of a client: ws, sse, poll; of a publisher: keys or plain
	Rooms []string
}

// A Fault happens at a time, for a time.
type Fault struct {
	Name string
	Kind string
	At   time.Duration
	For  time.Duration
	N    int // which instance, client or connection, or how many writes are lost
}

// The kinds of faults. docs/simulation.md says how to add one.
var faultKinds = []string{
	"cut client", "away client", "sleep client", "half-open client", "kill instance", "drain instance", "cut pubsub", "lose pubsub", "double pubsub",
	"slow pubsub", "freeze redis", "restart redis", "empty redis", "failover", "demote", "full redis",
	"cut instance from redis", "restless client", "rejoin client",
}

var roomNames = []string{"warehouse:w1", "zone:w1:a", "zone:w2:b"}

// New returns the scenario of a seed.
func New(seed uint64) *Scenario {
	r := rand.New(rand.NewPCG(seed, 0))
	s := &Scenario{Seed: seed, Instances: 2 + r.IntN(2), History: []int{1000, 1000, 30}[r.IntN(3)], QueuedBytes: 1 << 20, Window: 64 << 10,
		Sharded: r.IntN(2) == 0, Skew: time.Duration(r.IntN(400)-200) * time.Millisecond, Length: 12 * time.Second,
		Linger: []time.Duration{0, 20 * time.Millisecond, 2 * time.Second}[r.IntN(3)], Pace: 150 * time.Millisecond}
	if r.IntN(3) == 0 {
		s.QueuedBytes, s.Window = 8<<10, 2<<10
	}
	rooms := roomNames[:1+r.IntN(len(roomNames))]
	some := func() []string {
		picked := slices.Clone(rooms)
		r.Shuffle(len(picked), func(i, j int) { picked[i], picked[j] = picked[j], picked[i] })
		return picked[:1+r.IntN(len(picked))]
	}
	for i := range 3 + r.IntN(3) {
		s.Clients = append(s.Clients, Actor{fmt.Sprintf("c%d", i+1), []string{"ws", "ws", "sse", "poll"}[r.IntN(4)], some()})
	}
	for i := range 1 + r.IntN(2) {
		s.Publishers = append(s.Publishers, Actor{fmt.Sprintf("p%d", i+1), []string{"keys", "keys", "plain"}[r.IntN(3)], some()})
	}
	for i := range r.IntN(6) {
		at := time.Duration(r.Int64N(int64(s.Length - 2*time.Second)))
		s.Faults = append(s.Faults, Fault{fmt.Sprintf("f%d", i+1), faultKinds[r.IntN(len(faultKinds))], at + time.Second,
			time.Duration(100+r.IntN(4000)) * time.Millisecond, r.IntN(8)})
	}
	if r.IntN(2) == 0 {
		s.Faults = append(s.Faults, Fault{fmt.Sprintf("f%d", len(s.Faults)+1), "restless client", time.Duration(1+r.IntN(4)) * time.Second,
			time.Duration(2+r.IntN(6)) * time.Second, r.IntN(8)})
	}
	return s
}

// Parse returns the scenario that a person asks for: that of a seed, as a number, without some of
// its parts, by their names with commas between them. The errors say what was expected.
func Parse(seed, without string) (*Scenario, error) {
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("seed %q: want a number from 1 to %d", seed, uint64(math.MaxUint64))
	}
	s := New(n)
	if without == "" {
		return s, nil
	}
	names := strings.Split(without, ",")
	for _, name := range names {
		if !slices.Contains(s.names(), name) {
			return nil, fmt.Errorf("seed %d has no %q to leave out: it has %s", n, name, strings.Join(s.names(), ", "))
		}
	}
	return s.Without(names...), nil
}

// Without leaves actors and faults out by their names.
func (s *Scenario) Without(names ...string) *Scenario {
	less := *s
	out := func(name string) bool { return slices.Contains(names, name) }
	less.Clients = slices.DeleteFunc(slices.Clone(s.Clients), func(a Actor) bool { return out(a.Name) })
	less.Publishers = slices.DeleteFunc(slices.Clone(s.Publishers), func(a Actor) bool { return out(a.Name) })
	less.Faults = slices.DeleteFunc(slices.Clone(s.Faults), func(f Fault) bool { return out(f.Name) })
	return &less
}

// late is the most from the acceptance of an event to its arrival at a client that is there and
// reads, in ms; 0 where a fault may silence a connection without a word, which is found by a
// comparison later.
func (s *Scenario) late() int64 {
	if slices.ContainsFunc(s.Faults, func(f Fault) bool { return slices.Contains(silent, f.Kind) }) {
		return 0
	}
	most := 4 * time.Second
	for _, f := range s.Faults {
		if f.Kind == "restart redis" {
			most += f.For
		}
	}
	return most.Milliseconds()
}

var silent = []string{"sleep client", "half-open client", "lose pubsub", "demote", "freeze redis"}

// names are those of all parts that can be left out.
func (s *Scenario) names() (names []string) {
	for _, f := range s.Faults {
		names = append(names, f.Name)
	}
	for _, a := range slices.Concat(s.Clients, s.Publishers) {
		names = append(names, a.Name)
	}
	return names
}

func (s *Scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d instances, history of %d, %d bytes queued, window %d, sharded %v, redis ahead %v, rooms linger %v\n", s.Seed,
		s.Instances, s.History, s.QueuedBytes, s.Window, s.Sharded, s.Skew, s.Linger)
	for _, a := range s.Clients {
		fmt.Fprintf(&b, "  client %s over %s in %s\n", a.Name, a.Kind, strings.Join(a.Rooms, " "))
	}
	for _, a := range s.Publishers {
		fmt.Fprintf(&b, "  publisher %s (%s) to %s\n", a.Name, a.Kind, strings.Join(a.Rooms, " "))
	}
	for _, f := range s.Faults {
		fmt.Fprintf(&b, "  fault %s at %v for %v: %s %d\n", f.Name, f.At, f.For, f.Kind, f.N)
	}
	return b.String()
}

// Shrink leaves out, one after the other, the actors and faults without which the scenario still
// fails, and returns what is left and the names that were left out.
func (s *Scenario) Shrink(fails func(*Scenario) bool) (less *Scenario, without []string) {
	for _, name := range s.names() {
		if tried := append(slices.Clone(without), name); fails(s.Without(tried...)) {
			without = tried
		}
	}
	return s.Without(without...), without
}
