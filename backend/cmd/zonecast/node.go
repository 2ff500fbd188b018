package main

import (
	"context"
	"slices"

	dto "github.com/prometheus/client_model/go"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/web/dashboard"
)

// node says how this instance is, for the other instances, the health figures and the dashboard.
func (s *server) node() cluster.Node {
	census := s.hub.Census()
	n := cluster.Node{Name: s.config.NodeName, Version: version, Started: s.started, State: cluster.Ready,
		Connections: census.Connections, Warehouses: census.Warehouses, Transports: census.Transports, Sent: census.Sent, Lived: census.Lived,
		QueueBytes: s.pool.Waiting()}
	for room, count := range census.Zones {
		n.Zones = append(n.Zones, cluster.Zone{Warehouse: room.Warehouse, Zone: room.Zone, Connections: count})
	}
	if err := s.broker.Health(); err != nil {
		n.State, n.Reason = cluster.NotReady, err.Error()
	}
	if s.leaving.Load() {
		n.State = cluster.Draining
	}
	s.count(&n)
	return n
}

// count fills in what the metrics know.
func (s *server) count(n *cluster.Node) {
	families, err := s.metrics.Shared.Gather()
	if err != nil {
		s.log.Warn("metrics are incomplete", "error", err)
	}
	for _, family := range families {
		switch family.GetName() {
		case "zonecast_publishes_total":
			n.Published = sum(family, "result", "ok")
		case "zonecast_messages_delivered_total":
			n.Delivered = sum(family, "", "")
		case "zonecast_delivery_latency_seconds":
			n.Latency = histogram(family.GetMetric()[0].GetHistogram())
		}
	}
}

// sum adds up a counter over all its labels, or those of one value.
func sum(family *dto.MetricFamily, label, value string) (n uint64) {
	for _, m := range family.GetMetric() {
		if label == "" || slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == label && l.GetValue() == value }) {
			n += uint64(m.GetCounter().GetValue())
		}
	}
	return n
}

func histogram(h *dto.Histogram) cluster.Histogram {
	out := cluster.Histogram{Count: h.GetSampleCount()}
	for _, b := range h.GetBucket() {
		out.Bounds = append(out.Bounds, b.GetUpperBound())
		out.Counts = append(out.Counts, b.GetCumulativeCount())
	}
	return out
}

// figures adapts the cluster to what the dashboard asks for.
type figures server

var _ dashboard.Source = (*figures)(nil)

// Snapshot implements dashboard.Source.
func (f *figures) Snapshot(context.Context) (dashboard.Snapshot, error) {
	view := f.cluster.View()
	out := dashboard.Snapshot{Broker: (*server)(f).brokerKind(), Missing: view.Silent}
	warehouses, zones := map[string]int{}, map[cluster.Zone]int{}
	for _, n := range view.Nodes {
		out.Connections += n.Connections
		for w, count := range n.Warehouses {
			warehouses[w] += count
		}
		for _, z := range n.Zones {
			zones[cluster.Zone{Warehouse: z.Warehouse, Zone: z.Zone}] += z.Connections
		}
		out.Instances = append(out.Instances, instance(n))
	}
	if out.Connections == 0 {
		for _, r := range f.recent.zones() {
			out.Recent = append(out.Recent, dashboard.Zone{Warehouse: r.Warehouse, Name: r.Zone})
		}
	}
	for name, count := range warehouses {
		out.Warehouses = append(out.Warehouses, dashboard.Warehouse{Name: name, Connections: count})
	}
	for z, count := range zones {
		out.Zones = append(out.Zones, dashboard.Zone{Warehouse: z.Warehouse, Name: z.Zone, Connections: count})
	}
	return out, nil
}

func instance(n cluster.Node) dashboard.Instance {
	i := dashboard.Instance{Name: n.Name, Version: n.Version, UpSince: n.Started, Connections: n.Connections,
		QueueBytes: n.QueueBytes, Broker: dashboard.BrokerLink{Up: n.Reason == "", Detail: n.Reason},
		Published: n.Published, Delivered: n.Delivered}
	i.Latency.Count = n.Latency.Count
	for b := range min(len(n.Latency.Bounds), len(n.Latency.Counts)) {
		i.Latency.Buckets = append(i.Latency.Buckets,
			dashboard.Bucket{UpperBound: n.Latency.Bounds[b], CumulativeCount: n.Latency.Counts[b]})
	}
	switch n.State {
	case cluster.NotReady:
		i.State = dashboard.NotReady
	case cluster.Draining:
		i.State = dashboard.Draining
	}
	return i
}
