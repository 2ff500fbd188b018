package alertlog

import (
	"context"
	"slices"
	"sync"

	"github.com/zonecast/zonecast/backend/internal/audit"
)

// maxMemory is the most bytes of entries that a [Memory] keeps, of all warehouses together; the
// oldest go first.
const maxMemory = 16 << 20

// itemCost is about what an entry takes besides its text.
const itemCost = 128

// Memory is the store of an instance that is alone.
type Memory struct {
	mu    sync.Mutex
	bytes int
	seq   uint64
	items []item // the oldest first
}

type item struct {
	list  audit.List
	value audit.Stored
}

var _ audit.Store = (*Memory)(nil)

// Append implements [audit.Store].
func (m *Memory) Append(_ context.Context, list audit.List, values []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range values {
		m.seq++
		m.items = append(m.items, item{list, audit.Stored{Place: audit.Place{Seq: m.seq}, Value: v}})
		m.bytes += itemCost + len(v)
	}
	gone := 0
	for ; m.bytes > maxMemory; gone++ {
		m.bytes -= itemCost + len(m.items[gone].value.Value)
	}
	m.items = slices.Delete(m.items, 0, gone)
	return nil
}

// Before implements [audit.Store].
func (m *Memory) Before(_ context.Context, list audit.List, place audit.Place, orAt bool, n int) (found []audit.Stored, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, i := range slices.Backward(m.items) {
		at := i.value.Place.Seq
		if before := place.MS > 0 || at < place.Seq || orAt && at == place.Seq; i.list == list && before {
			if found = append(found, i.value); len(found) == n {
				break
			}
		}
	}
	return found, nil
}
