package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/api"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/internal/pairing"
	"github.com/zonecast/zonecast/backend/internal/problem"
	"github.com/zonecast/zonecast/web/dashboard"
)

// newPairingDesk returns where wall screens come for tokens of their own.
func (s *server) newPairingDesk() *pairing.Desk {
	return pairing.NewDesk(pairing.Options{Issue: s.guard.IssueForScreen, OnResult: s.metrics.AddPairing(pairing.Results),
		Keys: func() [][]byte { return s.guard.DerivedKeys("zonecast pairing of screens") }})
}

// screenPairing is how wall screens get tokens.
func (s *server) screenPairing() api.Pairing {
	return api.Pairing{Desk: s.pairing, Client: pairing.Client{Cluster: s.cluster}, Possible: s.pairingPossible, Address: dashboard.PairingAddress}
}

// pairingPossible returns nil if wall screens can be paired, or why not.
func (s *server) pairingPossible() error {
	if err := s.guard.MayIssue(); err != nil {
		return err
	}
	if !s.operators.TakesPasswords() && !s.operators.HasProvider() {
		return errors.New("there are no operators here who could pair a screen: set OPERATOR_PASSWORD, OPERATORS_FILE or OIDC_ISSUER")
	}
	return nil
}

// pairingRequest is what the dashboard shows of the screen that shows a code, or of none without
// one.
func (s *server) pairingRequest(ctx context.Context, typed string) (out dashboard.PairingRequest, err error) {
	if err = s.pairingPossible(); err != nil || typed == "" {
		return out, err
	}
	r, err := s.screenPairing().Find(ctx, pairing.ParseCode(typed))
	return dashboard.PairingRequest{Code: r.Code, Address: r.Address, Agent: r.Agent, Name: r.Name, Place: r.Place,
		Since: time.UnixMilli(r.Since)}, err
}

// addPairingForm adds what the form sends with which operators pair a screen. It leads back to the
// list.
func (s *server) addPairingForm(routes *access.Table) {
	post := []string{http.MethodPost}
	routes.Action(audit.Pair, post, dashboard.PairingPath)
	routes.Add(access.WarehouseOperator, post, dashboard.PairingPath, func(c echo.Context) error {
		wanted := dashboard.ParsePairing(c.Request().Form)
		_, err := s.screenPairing().ConfirmFor(c, wanted.Code, auth.ScreenGrant{Name: wanted.Name, Warehouse: wanted.Warehouse, Zones: wanted.ZoneNames()})
		if err == nil {
			return c.Redirect(http.StatusSeeOther, wanted.DoneAddress())
		}
		p := problem.Of(err)
		s.ui.ServePairing(c.Response(), c.Request(), p.Status, wanted, p.Detail)
		return err // for the audit log: the answer is written
	})
}

// revokeScreen ends the token of a paired screen, until the last of its renewals has expired.
func (s *server) revokeScreen(ctx context.Context, tokenID, reason string) (string, error) {
	lifetime, _ := s.guard.ScreenTokens()
	until := time.Now().Add(lifetime + s.config.AuthLeeway + time.Minute)
	r, closed, fanOut, err := s.revocations.Revoke(ctx, auth.Revocation{TokenID: tokenID, Until: until.UnixMilli(), Reason: reason})
	return r.ID + ", " + connadmin.Reached(closed, fanOut), err
}
