package access

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/problem"
	"github.com/zonecast/zonecast/backend/internal/requestid"
	"github.com/zonecast/zonecast/backend/wire"
)

// reasonHeader is how an operator says why; the query's reason does as well.
const reasonHeader = "X-Reason"

// entryKey is where a request has its entry, for the handler to add to.
const entryKey = "audit"

// Action names what the routes do, for the audit log. Others go by method and path.
func (t *Table) Action(action string, methods []string, path string) {
	for _, method := range methods {
		t.actions[route{method, path}] = action
	}
}

// Entry returns what the audit log will say of a request that changes something. Its handler sets
// what it knows better: Action, Target, Reason, Detail.
func Entry(c echo.Context) *audit.Entry {
	e, ok := c.Get(entryKey).(*audit.Entry)
	if !ok {
		e = new(audit.Entry) // of a route that is not recorded
	}
	return e
}

func (t *Table) entry(c echo.Context) *audit.Entry {
	r := c.Request()
	action, named := t.actions[route{r.Method, c.Path()}]
	if !named {
		action = r.Method + " " + c.Path()
	}
	query := r.URL.Query()
	query.Del("token")
	e := &audit.Entry{Action: action, Target: r.URL.Path, Reason: r.Header.Get(reasonHeader), Address: c.RealIP(),
		RequestID: requestid.Of(c)}
	if e.Reason == "" {
		e.Reason = query.Get("reason")
	}
	query.Del("reason")
	if len(query) > 0 {
		e.Target += "?" + query.Encode()
	}
	return e
}

// Audited records what a service changes: it is for routes that are not those of operators.
func (t *Table) Audited(next echo.HandlerFunc) echo.HandlerFunc {
	return t.audited("", next, func(e audit.Entry) {
		if e.Result == audit.Refused {
			t.audit.Failure(e)
		} else {
			t.audit.Service(e)
		}
	})
}

// audited records what becomes of a request. While that can't be recorded nothing is done.
func (t *Table) audited(who string, next echo.HandlerFunc, record func(audit.Entry)) echo.HandlerFunc {
	return func(c echo.Context) error {
		e := t.entry(c)
		e.Who = who
		c.Set(entryKey, e)
		err := t.audit.Ready()
		if err == nil {
			err = next(c)
		}
		Outcome(e, err)
		record(*e)
		return err
	}
}

// Outcome sets the result of an entry, and why it is none.
func Outcome(e *audit.Entry, err error) {
	e.Result = audit.Done
	if err == nil {
		return
	}
	p := problem.Of(err)
	e.Result, e.Detail = audit.Refused, p.Detail
	if p.Status >= http.StatusInternalServerError {
		e.Result = audit.Failed
	}
}

// forbidden records that an operator asked for what the role does not permit.
func (t *Table) forbidden(c echo.Context, who string, err error) {
	e := t.entry(c)
	e.Who, e.Result, e.Detail = who, audit.Refused, wire.AsError(err).Message
	t.audit.Record(*e)
}
