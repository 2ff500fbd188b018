package scenario

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/account"
	"github.com/zonecast/zonecast/loadtest/internal/publish"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

// fanout publishes through the HTTP API; every member must receive every message.
type fanout struct {
	run    *Run
	client *publish.Client

	mu       sync.Mutex
	accepted account.Set // sequence numbers that the API said OK to
}

var _ load = (*fanout)(nil)

func newFanout(r *Run) *fanout {
	return &fanout{run: r, client: publish.New(publish.Options{
		Bases: r.plan.PublishBases, Room: r.plan.Room, Event: stamp.Event, Key: r.plan.PublishKey, Connections: r.plan.Publishers,
	})}
}

func (f *fanout) send(ctx context.Context, i uint32) error {
	began := time.Now()
	err := f.client.Publish(ctx, int(i), f.run.stamp.Append(nil, i))
	f.run.sends.Lane(0).Record(time.Since(began))
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.accepted.Add(uint64(i))
	f.mu.Unlock()
	return nil
}

func (f *fanout) receive(m *member, frame stamp.Frame, at time.Duration) {
	switch frame.Kind {
	case stamp.Published:
		m.mu.Lock()
		fresh := m.ledger.Message(frame.Message)
		if fresh {
			m.last = at
		}
		m.mu.Unlock()
		if fresh {
			f.run.arrived(m, frame.Seq, at)
		}
	case stamp.Damaged:
		m.mu.Lock()
		m.ledger.Message(frame.Message) // its offset is good; as one of ours it is lost
		m.mu.Unlock()
		f.run.violations.damaged.Add(1)
		f.run.failures.AddKind("frame: damaged data", "the data is not byte for byte what was published")
	default:
		f.run.control(m, frame)
	}
}

func (f *fanout) holds(m *member) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ledger.Holds(&f.accepted)
}

func (f *fanout) score(m *member) account.Score {
	f.mu.Lock()
	defer f.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ledger.Score(&f.accepted)
}

func (f *fanout) close() { f.client.Close() }

// probe publishes one event to each address and waits until a member on each instance has all of them.
func (f *fanout) probe(ctx context.Context) error {
	plan := f.run.plan
	var marks [][]byte
	for i := range plan.PublishBases {
		marks = append(marks, f.run.mark(i))
	}
	probes, err := f.run.openProbes(ctx, func(frame wire.ServerFrame, missing map[int]bool) {
		for i, mark := range marks {
			if bytes.Equal(frame.Data, mark) {
				delete(missing, i)
			}
		}
	}, len(marks))
	defer probes.close()
	if err != nil {
		return err
	}
	for i, base := range plan.PublishBases {
		if err := f.client.Publish(ctx, i, marks[i]); err != nil {
			return explainPublish(base, err)
		}
	}
	return probes.wait(ctx, func(url string, i int) string {
		return fmt.Sprintf("an event published at %s did not reach a member at %s within %v: are both of one cluster, on the same Redis?",
			plan.PublishBases[i], url, probeTimeout)
	})
}
