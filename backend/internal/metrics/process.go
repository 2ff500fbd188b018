package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// A ProcessUsage is what this process takes of its machine. What the system does not tell is 0.
type ProcessUsage struct {
	ResidentBytes               uint64
	CPU                         time.Duration // since the process began
	Descriptors, MaxDescriptors int
}

// A Process reads what this process takes.
type Process struct{ registry *prometheus.Registry }

// NewProcess returns a reader of the same figures as process_resident_memory_bytes and its like.
func NewProcess() Process {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return Process{registry}
}

// Usage reads it.
func (p Process) Usage() (u ProcessUsage) {
	families, _ := p.registry.Gather() // without what the system does not tell
	for _, f := range families {
		for _, m := range f.GetMetric() {
			value := m.GetGauge().GetValue() + m.GetCounter().GetValue()
			switch f.GetName() {
			case "process_resident_memory_bytes":
				u.ResidentBytes = uint64(value)
			case "process_cpu_seconds_total":
				u.CPU = time.Duration(value * float64(time.Second))
			case "process_open_fds":
				u.Descriptors = int(value)
			case "process_max_fds":
				u.MaxDescriptors = int(value)
			}
		}
	}
	return u
}
