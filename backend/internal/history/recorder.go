package history

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
)

// A Recorder keeps records in the order in which they come, from any number of goroutines. The zero
// Recorder is ready to use.
type Recorder struct {
	mu      sync.Mutex
	records []Record
}

// Add adds a record.
func (r *Recorder) Add(one Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, one)
}

// Records returns what was recorded until now.
func (r *Recorder) Records() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.records)
}

// Write writes records as [Read] reads them.
func Write(w io.Writer, records []Record) error {
	out := json.NewEncoder(w)
	for _, r := range records {
		if err := out.Encode(r); err != nil {
			return fmt.Errorf("write the history: %w", err)
		}
	}
	return nil
}
