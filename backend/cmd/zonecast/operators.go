package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/signin"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/web/dashboard"
)

// openOperators opens what decides who is an operator.
func (s *server) openOperators() (err error) {
	addresses := newClientAddresses(s.config, s.log)
	s.operators, err = operator.New(operator.Options{Password: s.config.OperatorPassword, File: s.config.OperatorsFile,
		Provider: s.config.Provider(), Closed: s.guard.ServiceNeedsKey(), Log: s.log, OnEvent: s.operatorEvent,
		Sessions: operator.SessionOptions{Secrets: s.config.SessionSecrets(), IdleTimeout: s.config.SessionIdleTimeout,
			MaxAge: s.config.SessionMaxAge, Secure: addresses.overTLS, End: s.endSession, Ended: s.sessionEnded}})
	return err
}

// operatorEvent counts and records what happened at a sign-in or sign-out.
func (s *server) operatorEvent(e operator.Event) {
	entry := audit.Entry{Who: e.Who, Action: audit.Login, Result: audit.Done, Detail: e.Why, Address: e.Address}
	switch {
	case e.Action == operator.SignOut:
		if entry.Action = audit.Logout; e.Result == operator.Refused {
			entry.Result = audit.Failed
		}
		s.audit.Record(entry)
	case e.Result == operator.Refused:
		s.metrics.LoginFailed(e.Why)
		s.audit.Failure(entry)
	default: // of a program each request is one, and anybody with a password may send the form again and again
		s.audit.LoggedIn(e.Who, e.Address)
	}
}

// endSession ends a session of an operator on all instances, as tokens are ended.
func (s *server) endSession(ctx context.Context, id string, until time.Time) error {
	ended := auth.Revocation{TokenID: auth.SessionPrefix + id, Until: until.UnixMilli(), Reason: "signed out"}
	_, _, _, err := s.revocations.Revoke(ctx, ended)
	if err != nil { // here at least
		ended.ID, ended.Created = ended.TokenID, time.Now().UnixMilli()
		s.guard.Revocations().Add(ended)
	}
	return err
}

func (s *server) sessionEnded(id string) bool {
	return s.guard.Revocations().HasToken(auth.SessionPrefix + id)
}

// overTLS reports whether a request came over TLS: to this server, or to the proxy in front of it.
func (a *clientAddresses) overTLS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	direct, ok := parseAddress(r.RemoteAddr)
	return ok && a.trusts(direct) && transport.ForwardedScheme(r) == "https"
}

// renderSignIn writes the page on which operators sign in.
func (s *server) renderSignIn(w http.ResponseWriter, r *http.Request, status int, p signin.Page) {
	page := dashboard.SignIn{Name: p.Name, Next: p.Next, Passwords: p.Passwords, Error: p.Error, Notice: p.Notice}
	if p.Provider {
		page.Provider = s.config.ProviderName()
	}
	s.ui.ServeSignIn(w, r, status, page)
}

// viewer is who looks at the dashboard.
func viewer(r *http.Request) dashboard.Viewer {
	who := operator.From(r.Context())
	names, all := who.Warehouses(operator.Viewer)
	sends, sendsToAll := who.Warehouses(operator.Admin)
	return dashboard.Viewer{Name: who.Name, CanSignOut: who.HasSession(), CanRebalance: who.Require(operator.Admin) == nil,
		CanDisconnect: who.RequireAnywhere(operator.Operator) == nil,
		CanDismiss:    who.Require(operator.Operator) == nil, Limited: !all, Warehouses: names,
		SendsToAll: sendsToAll, SendsTo: sends}
}

// mayView reports whether who sends the request may see the rooms of a warehouse.
func mayView(r *http.Request) func(warehouse string) bool {
	names, all := operator.From(r.Context()).Warehouses(operator.Viewer)
	return func(warehouse string) bool { return all || slices.Contains(names, warehouse) }
}

// recheck is how often it is asked whether who reads a stream is still let in.
const recheck = 2 * time.Second

// whileSignedIn ends the streams of those who are no longer let in, and asks browsers to come back
// for the rest in time, so that what they look at keeps their session alive.
func (s *server) whileSignedIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/events") {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		renew := time.Now().Add(s.operators.Lasting())
		go func() {
			tick := time.NewTicker(recheck)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					if !s.operators.StillValid(r) || operator.From(ctx).HasSession() && time.Now().After(renew) {
						cancel()
					}
				}
			}
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
