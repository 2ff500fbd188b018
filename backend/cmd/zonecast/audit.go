package main

import (
	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/audit"
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
}

// addAudit has what goes through the routes recorded.
func (s *server) addAudit(routes *access.Table) { routes.Audit(s.audit, s.config.NamesOperators()) }
