package main

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/api"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/incidents"
	"github.com/zonecast/zonecast/backend/internal/instances"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/web/dashboard"
)

// answerInstances answers what operators ask about this instance, and drains it for them.
func (s *server) answerInstances(next cluster.Answerer) cluster.Answerer {
	id := func() string {
		if shared, ok := s.cluster.(*cluster.Redis); ok {
			return shared.ID()
		}
		return s.config.NodeName
	}
	self := func() cluster.Node {
		n := s.node()
		n.ID = id()
		return n
	}
	s.drainer = instances.NewDrainer(instances.DrainOptions{Readiness: s.readiness, Connections: s.hub.Connections,
		HasOther: func(ctx context.Context) (has, known bool) { return s.instances().HasOther(ctx, id()) },
		Delay:    s.config.Delay(s.target == nil), Timeout: s.config.DrainTimeout,
		Record: func(i incidents.Incident) { s.incidents.Record(i) }, Log: s.log})
	limit, _ := s.config.TCPConnections(descriptors())
	h := &instances.Handler{Self: self, Status: s.readiness.Status, Limit: s.config.MaxConnections, Drainer: s.drainer, Next: next,
		Meter: &instances.Meter{Started: s.started, Read: metrics.NewProcess().Usage, TCP: s.tcpConnections, TCPLimit: limit}}
	return h.Answer
}

// instances is what is known of all instances, and how one of them is drained.
func (s *server) instances() api.Instances {
	return api.Instances{Client: instances.Client{Cluster: s.cluster}}
}

// listInstances is what the dashboard lists of the instances.
func (s *server) listInstances(ctx context.Context) (out dashboard.InstancePage, _ error) {
	list, err := s.instances().List(ctx)
	if err != nil {
		return out, err
	}
	out = dashboard.InstancePage{FanOut: fanOutOf(list.FanOut), Broker: s.brokerKind()}
	for _, i := range list.Instances {
		out.Instances = append(out.Instances, instanceDetail(i))
	}
	for _, g := range list.Gone {
		out.Gone = append(out.Gone, dashboard.Gone{ID: g.ID, Name: g.Node, Since: g.Since, Connections: g.Connections})
	}
	return out, nil
}

func instanceDetail(i instances.Info) dashboard.InstanceDetail {
	d := dashboard.InstanceDetail{Instance: dashboard.Instance{ID: i.ID, Name: i.Node, Version: i.Version, UpSince: i.Started,
		Connections: i.Connections, QueueBytes: i.QueuedBytes, State: states[i.State],
		Broker: dashboard.BrokerLink{Up: i.Broker.Up, Detail: i.Broker.Detail}},
		BrokerSince: i.Broker.Since, ConnectionLimit: i.ConnectionLimit, HeardAgo: time.Duration(i.HeardAgo) * time.Millisecond, Answered: i.Usage != nil}
	if !i.Broker.Up {
		d.Broker.DownSince = i.Broker.Since
	}
	if u := i.Usage; u != nil {
		d.Usage = dashboard.Usage{TCP: u.TCP, TCPLimit: u.TCPLimit, Memory: u.MemoryBytes, MemoryLimit: u.MemoryLimit, Descriptors: u.Descriptors,
			DescriptorLimit: u.DescriptorLimit, Cores: u.Cores, CoresOver: time.Duration(u.CoresOver) * time.Millisecond, CoreLimit: u.CoresLimit, Goroutines: u.Goroutines}
	}
	if i.Drain != nil {
		d.Drain = &dashboard.Drain{Since: i.Drain.Since, By: i.Drain.By, Had: i.Drain.Connections}
	}
	return d
}

// addDrainForm adds what the page of an instance sends. It leads back to the page.
func (s *server) addDrainForm(routes *access.Table) {
	post := []string{http.MethodPost}
	routes.Action(audit.Drain, post, dashboard.DrainPath) // or audit.EndDrain
	routes.Add(access.Operator, post, dashboard.DrainPath, func(c echo.Context) error {
		form, err := c.FormParams()
		if err != nil {
			return wire.Errorf(wire.CodeInvalidData, "the form can't be read: go back and send it again")
		}
		order, entry := dashboard.ParseDrain(form), access.Entry(c)
		if order.End {
			entry.Action = audit.EndDrain
		}
		if order.Reason != "" {
			entry.Reason = order.Reason
		}
		ctx, cancel := context.WithTimeout(c.Request().Context(), formTimeout)
		defer cancel()
		done, err := s.instances().Drain(ctx, entry, order.ID, order.End)
		if err != nil {
			return err
		}
		return c.Redirect(http.StatusSeeOther, dashboard.InstanceAddress(done.Node))
	})
}
