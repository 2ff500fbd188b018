package metrics

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Registry remembers what was registered, also what has no value yet.
type Registry struct {
	*prometheus.Registry
	collectors []prometheus.Collector // in order; not to be registered to once metrics are described
}

func newRegistry() *Registry { return &Registry{Registry: prometheus.NewRegistry()} }

// Register implements prometheus.Registerer.
func (r *Registry) Register(c prometheus.Collector) error {
	if err := r.Registry.Register(c); err != nil {
		return err
	}
	r.collectors = append(r.collectors, c)
	return nil
}

// MustRegister implements prometheus.Registerer.
func (r *Registry) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// A Description is what there is to know of one metric.
type Description struct {
	Name, Type, Help string
	Labels           []string
	Detail           string // of its labels, in Markdown; may be empty
}

// Descriptions describes every zonecast_ metric that an instance may have, by name.
func Descriptions() []Description {
	m := New("")
	m.AddAudit()
	m.AddCanary("")
	m.AddAuth(func() int { return 0 })
	m.AddPairing(nil)
	m.AddTransport("websocket", func() int { return 0 })
	m.AddPlaces(1, func() map[Place]int { return nil })
	m.Usage(func() map[string]WarehouseUsage { return nil })
	m.AddInstance(Instance{Broker: "memory", Limits: map[string]float64{"": 0}, QuotaLimits: map[string]float64{"": 0}})
	m.AddRedis(func() time.Duration { return 0 }, func() bool { return false })
	m.RedisProbes()
	m.Durable("")
	m.AddTLS(time.Now)

	var all []Description
	for _, c := range m.Registry.collectors {
		descs := make(chan *prometheus.Desc)
		go func() { c.Describe(descs); close(descs) }()
		for desc := range descs {
			if !strings.Contains(desc.String(), `fqName: "zonecast_`) {
				continue
			}
			d := describe(desc)
			if slices.ContainsFunc(all, func(o Description) bool { return o.Name == d.Name }) {
				continue
			}
			d.Type = kind(c, d.Name)
			d.Detail = details[d.Name]
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b Description) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// described is the text of a prometheus.Desc, which has no other way to be read.
var described = regexp.MustCompile(`fqName: "([^"]*)", help: "((?:[^"\\]|\\.)*)", (?:unit: "[^"]*", )?constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`)

func describe(desc *prometheus.Desc) Description {
	parts := described.FindStringSubmatch(desc.String())
	d := Description{Name: parts[1], Help: parts[2]}
	for _, label := range strings.Split(parts[3]+","+parts[4], ",") {
		if name, _, _ := strings.Cut(label, "="); name != "" {
			d.Labels = append(d.Labels, name)
		}
	}
	return d
}

func kind(c prometheus.Collector, name string) string {
	switch c.(type) {
	case *latency, prometheus.Histogram, *prometheus.HistogramVec, queuedBytes:
		return "histogram"
	}
	if strings.HasSuffix(name, "_total") {
		return "counter"
	}
	return "gauge"
}
