package audit

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/internal/bus"
)

// A List is one of the lists of a store.
type List string

// The lists: what operators did, and what others did, so that the one does not displace the other.
const (
	Operators List = "operators"
	Others    List = "others"
)

// MaxEntries is about how many entries a store keeps of each list: the last ones.
const MaxEntries = 5000

// A Place is where a value is in the lists. Places rise in the order in which values were appended.
type Place struct{ MS, Seq uint64 } // Unix time of the store's clock, and a number within it

// A Stored is a value of a list.
type Stored struct {
	Place Place
	Value string
}

// A Store keeps the last values of each list, for all instances or for this one. Its methods may be
// called by several goroutines.
type Store interface {
	// Append appends values in their order. After an error some of them may have been.
	Append(ctx context.Context, list List, values []string) error
	// Before returns up to n values before a place, or at it too, the last ones first.
	Before(ctx context.Context, list List, place Place, orAt bool, n int) ([]Stored, error)
}

// Memory is the store of an instance that is alone.
type Memory struct {
	mu    sync.Mutex
	last  Place
	lists map[List][]Stored
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{lists: map[List][]Stored{}} }

// Append implements [Store].
func (m *Memory) Append(_ context.Context, list List, values []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range values {
		m.last.Seq++
		if now := uint64(time.Now().UnixMilli()); now > m.last.MS {
			m.last = Place{MS: now}
		}
		m.lists[list] = append(m.lists[list], Stored{m.last, v})
	}
	if over := len(m.lists[list]) - MaxEntries; over > 0 {
		m.lists[list] = append([]Stored(nil), m.lists[list][over:]...)
	}
	return nil
}

// Before implements [Store].
func (m *Memory) Before(_ context.Context, list List, place Place, orAt bool, n int) (found []Stored, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range slices.Backward(m.lists[list]) {
		if len(found) == n {
			break
		}
		if c := s.Place.compare(place); c < 0 || c == 0 && orAt {
			found = append(found, s)
		}
	}
	return found, nil
}

const (
	// maxWaiting is how many entries wait for a store that is away; more are in the file and in the
	// process's log alone.
	maxWaiting = 1000
	// shareInterval is when a store that was away is tried again.
	shareInterval = time.Second
	storeTimeout  = time.Second
)

// share has an entry written to the store, soon.
func (l *Log) share(i item) {
	l.mu.Lock()
	full := len(l.waiting) >= maxWaiting
	if !full {
		l.waiting = append(l.waiting, i)
	}
	l.mu.Unlock()
	if full {
		l.opts.OnFailure("store")
		return
	}
	select {
	case l.unshared <- struct{}{}:
	default:
	}
}

// flushStore writes what waits for the store.
func (l *Log) flushStore(ctx context.Context) {
	l.sharing.Lock()
	defer l.sharing.Unlock()
	l.mu.Lock()
	waiting := slices.Clone(l.waiting)
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	for len(waiting) > 0 {
		list, values := waiting[0].list, []string(nil)
		for _, i := range waiting {
			if i.list != list {
				break
			}
			values = append(values, l.signer.Seal(bus.Audit, string(list), i.value))
		}
		if err := l.store.Append(ctx, list, values); err != nil {
			l.opts.OnFailure("store")
			l.opts.Log.Debug("audit entries wait for the store", "waiting", len(waiting), "error", err)
			return
		}
		waiting = waiting[len(values):]
		l.mu.Lock()
		l.waiting = slices.Delete(l.waiting, 0, len(values))
		l.mu.Unlock()
	}
}

// maxValue is the most bytes of a value of the store: all texts at their longest, escaped.
const maxValue = 6*6*maxText + 1024

// open reads a value of the store. The error is a [bus.Refusal].
func (l *Log) open(list List, value string) (e Entry, err error) {
	value, err = l.signer.OpenStored(bus.Audit, string(list), value, maxValue)
	if err == nil && json.Unmarshal([]byte(value), &e) != nil {
		err = bus.Malformed
	}
	var why bus.Refusal
	if errors.As(err, &why) {
		l.opts.OnRefuse(bus.Audit, why)
	}
	return e, err
}
