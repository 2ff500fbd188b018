package broker

// A fairQueue holds publications by warehouse: first in, first out within each, and the warehouses
// take turns. The zero value is empty.
type fairQueue struct {
	bytes int          // of data in all
	turns []*shareLine // of the warehouses that wait, the next one first
	lines map[string]*shareLine
}

// A shareLine is what waits of one warehouse.
type shareLine struct {
	warehouse string
	bytes     int // of data
	waiting   []*commit
}

// push adds a publication, unless that is more than may wait, or than its warehouse's share. One
// that nothing of its kind waits before is always taken.
func (q *fairQueue) push(one *commit) bool {
	line := q.lines[one.warehouse]
	if q.bytes > 0 && q.bytes+one.size > maxQueuedCommits || line != nil && line.bytes > 0 && line.bytes+one.size > maxQueuedPerWarehouse {
		return false
	}
	if line == nil {
		if q.lines == nil {
			q.lines = map[string]*shareLine{}
		}
		line = &shareLine{warehouse: one.warehouse}
		q.lines[one.warehouse] = line
		q.turns = append(q.turns, line)
	}
	line.waiting = append(line.waiting, one)
	line.bytes += one.size
	q.bytes += one.size
	return true
}

// pop takes at most so many, one of each warehouse in turn.
func (q *fairQueue) pop(most int) (batch []*commit) {
	for len(batch) < most && len(q.turns) > 0 {
		line := q.turns[0]
		q.turns[0] = nil
		q.turns = q.turns[1:]
		one := line.waiting[0]
		line.waiting[0] = nil
		line.waiting = line.waiting[1:]
		line.bytes -= one.size
		q.bytes -= one.size
		batch = append(batch, one)
		if len(line.waiting) > 0 {
			q.turns = append(q.turns, line)
		} else {
			delete(q.lines, line.warehouse)
		}
	}
	return batch
}
