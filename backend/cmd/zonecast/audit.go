package main

import (
	"context"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/incidents"
	"github.com/zonecast/zonecast/web/dashboard"
)

func (s *server) openAudit() (err error) {
	o := audit.Options{Node: s.config.NodeName, File: s.config.AuditFile(), Log: s.log, OnRefuse: s.metrics.RefuseFromBus}
	o.OnEntry, o.OnFailure = s.metrics.AddAudit()
	s.audit, err = audit.Open(o)
	return err
}

// recordReload records that a file of the settings was taken over again, or why it could not be.
func (s *server) recordReload(setting string, err error) {
	e := audit.Entry{Action: audit.Reload, Target: setting, Result: audit.Done}
	if err != nil {
		e.Result, e.Detail = audit.Failed, err.Error()
	}
	s.audit.Record(e)
	s.incidents.Record(incidents.Incident{Kind: incidents.Settings, Detail: strings.TrimSpace(setting + " " + e.Result + " " + e.Detail)})
}

// addAudit has what goes through the routes recorded.
func (s *server) addAudit(routes *access.Table) { routes.Audit(s.audit) }

// listAudit is what the dashboard lists of the audit log.
func (s *server) listAudit(ctx context.Context, q dashboard.AuditQuery) (out dashboard.AuditEntries, _ error) {
	page, err := s.audit.Read(ctx, audit.Query{Who: q.Who, Action: q.Action, Since: q.Since, Before: q.Before, Limit: auditPage})
	for _, e := range page.Entries {
		out.Entries = append(out.Entries, dashboard.AuditEntry{Time: e.Time, Who: e.Who, Action: e.Action, Target: e.Target,
			Reason: e.Reason, Result: e.Result, Detail: e.Detail, Count: e.Count, Address: e.Address, Node: e.Node})
	}
	out.Next, out.Refused = page.Next, page.Refused
	return out, err
}

// auditPage is how many entries the dashboard shows at once.
const auditPage = 100
