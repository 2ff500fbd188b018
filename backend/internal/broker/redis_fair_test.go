package broker

import (
	"fmt"
	"testing"
)

// However much waits of one warehouse, what another publishes is in the next batch, and finds room.
// Within each warehouse the order stays.
func TestAWarehouseThatPublishesTooMuchHoldsUpOnlyItself(t *testing.T) {
	var q fairQueue
	push := func(warehouse string, i, size int) bool {
		return q.push(&commit{warehouse: warehouse, args: []any{i}, size: size})
	}
	greedy := 0
	for push("greedy", greedy, 64<<10) {
		greedy++
	}
	if want := maxQueuedPerWarehouse / (64 << 10); greedy != want {
		t.Errorf("%d of one warehouse wait, want %d", greedy, want)
	}
	for i := range 3 {
		for w := range 5 {
			if !push(fmt.Sprint("modest", w), i, 1000) {
				t.Fatalf("message %d of another warehouse finds no room", i)
			}
		}
	}
	next := map[string]int{}
	taken := 0
	for batch := q.pop(20); len(batch) > 0; batch = q.pop(20) {
		for _, one := range batch {
			if i := one.args[0].(int); i != next[one.warehouse] {
				t.Fatalf("message %d of %s comes in the place of %d", i, one.warehouse, next[one.warehouse])
			}
			next[one.warehouse]++
		}
		if taken += len(batch); taken == 20 && next["modest4"] != 3 {
			t.Errorf("of the last warehouse %d of 3 are in the first batch", next["modest4"])
		}
	}
	if taken != greedy+15 || q.bytes != 0 || len(q.lines) != 0 || len(q.turns) != 0 {
		t.Errorf("%d of %d were taken, %d bytes in %d warehouses are left", taken, greedy+15, q.bytes, len(q.lines))
	}
}

// All together wait no more than the bound.
func TestWhatWaitsForRedisIsBounded(t *testing.T) {
	var q fairQueue
	if !q.push(&commit{warehouse: "huge", size: 2 * maxQueuedCommits}) {
		t.Error("a message is refused that nothing waits before")
	}
	q.pop(1)
	n := 0
	for q.push(&commit{warehouse: fmt.Sprint(n % 100), size: 64 << 10}) {
		n++
	}
	if n*(64<<10) != maxQueuedCommits {
		t.Errorf("%d messages of 64 KiB wait", n)
	}
}
