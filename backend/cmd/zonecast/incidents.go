package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/internal/incidents"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/web/dashboard"
)

// openIncidents opens what remembers what happened, in the same store as the audit log but in a
// list of its own.
func (s *server) openIncidents(store audit.Store, signer *bus.Signer, self string) {
	s.incidents = incidents.New(incidents.Options{Node: s.config.NodeName, Store: store, Signer: signer, Log: s.log})
	s.watcher = &incidents.Watcher{Log: s.incidents, Self: self, Status: s.readiness.Status, View: s.cluster.View}
	s.incidents.Record(incidents.Incident{Kind: incidents.Started, Detail: "version " + version})
}

// floods are the refusals that a limit is the reason of.
var floods = map[string]string{
	"limit_reached": "a limit of connections was reached", "tcp_limit": "MAX_TCP_CONNECTIONS was reached",
	"address_limit": "an address has too many connections", "tcp_address_limit": "an address has too many TCP connections",
	"rate_limited": "a user or an address came too often"}

// refuse counts a connection that was refused before it was open.
func (s *server) refuse(reason string) {
	s.metrics.RefuseConnection(reason)
	s.closures.Refused(reason)
}

// onRefused is told of each refusal.
func (s *server) onRefused(reason string) {
	if detail, ok := floods[reason]; ok {
		s.incidents.Count(incidents.Flood, detail)
	}
}

// listEvents is what the dashboard lists of the incidents.
func (s *server) listEvents(ctx context.Context, q dashboard.EventQuery) (out dashboard.EventPage, _ error) {
	page, err := s.incidents.Read(ctx, incidents.Query{Kind: q.Kind, Node: q.Node, Since: q.Since, Before: q.Before, Limit: q.Limit})
	for _, i := range page.Incidents {
		out.Events = append(out.Events, dashboard.Event{Time: i.Time, Kind: i.Kind, Node: i.Node, Detail: i.Detail,
			Lasted: time.Duration(i.Lasted) * time.Millisecond, Count: i.Count})
	}
	out.Next = page.Next
	return out, err
}

// addEventExport adds the events as a file.
func (s *server) addEventExport(routes *access.Table) {
	routes.Add(access.WarehouseViewer, access.Reading, dashboard.LogExportPath, s.exportEvents)
}

// exportEvents writes the events that the query selects, as CSV or lines of JSON, the last ones
// first.
func (s *server) exportEvents(c echo.Context) error {
	format := c.QueryParam("format")
	if format != "csv" && format != "json" {
		return wire.Errorf(wire.CodeInvalidData, "format is %.20q: say csv or json", format)
	}
	query := dashboard.ParseEventQuery(c.QueryParams())
	query.Limit = audit.MaxEntries
	var all []incidents.Incident
	for {
		ctx, cancel := context.WithTimeout(c.Request().Context(), formTimeout)
		page, err := s.incidents.Read(ctx, incidents.Query{Kind: query.Kind, Node: query.Node, Since: query.Since, Before: query.Before, Limit: query.Limit})
		cancel()
		if err != nil {
			return err
		}
		all = append(all, page.Incidents...)
		if query.Before = page.Next; query.Before == "" {
			break
		}
	}
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Disposition", `attachment; filename="zonecast-events.`+format+`"`)
	if format == "json" {
		h.Set("Content-Type", "application/x-ndjson")
		c.Response().WriteHeader(http.StatusOK)
		out := json.NewEncoder(c.Response())
		for _, i := range all {
			if out.Encode(i) != nil {
				return nil // the caller is gone
			}
		}
		return nil
	}
	h.Set("Content-Type", "text/csv; charset=utf-8")
	out := csv.NewWriter(c.Response())
	_ = out.Write([]string{"time", "kind", "node", "detail", "lastedMilliseconds", "count"}) // Flush tells, and then the caller is gone
	for _, i := range all {
		_ = out.Write([]string{i.Time.Format(time.RFC3339Nano), i.Kind, cell(i.Node), cell(i.Detail), strconv.FormatInt(i.Lasted, 10), strconv.Itoa(i.Count)})
	}
	out.Flush()
	return nil
}

// What the hub, the broker and the publisher tell of.

func (s *server) onGap() {
	s.metrics.Gaps.Inc()
	s.incidents.Count(incidents.Gaps, "clients were told that messages can't be recovered")
}

func (s *server) onFork() {
	s.metrics.BrokerForks.Inc()
	s.incidents.Count(incidents.HistoryLost, "rooms began a new epoch: Redis lost their history")
}

func (s *server) onQuota(quota string) {
	s.incidents.Count(incidents.QuotaReached, "publications were refused because of the quota "+quota)
}
