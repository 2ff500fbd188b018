package pairing

import (
	"context"
	"crypto/rand"
	"math/big"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/wire"
)

// The questions that instances put to one another.
const (
	kindFind    = "pairing code"
	kindConfirm = "pairing confirmed"
)

// A Handler answers for one instance. Its Answer is a [cluster.Answerer].
type Handler struct {
	Desk *Desk
	Next cluster.Answerer // of other questions
}

// A confirmation is for the holder of the ticket of this ID.
type confirmation struct {
	ID    string           `json:"id"`
	Grant auth.ScreenGrant `json:"grant"`
}

// Answer implements [cluster.Answerer].
func (h Handler) Answer(ctx context.Context, q cluster.Question) (any, error) {
	switch q.Kind {
	case kindFind:
		code, err := cluster.Asked[string](q)
		if err != nil {
			return nil, err
		}
		return h.Desk.find(code, time.Now()), nil
	case kindConfirm:
		wanted, err := cluster.Asked[confirmation](q)
		if err != nil {
			return nil, err
		}
		return struct{}{}, h.Desk.confirm(wanted.ID, wanted.Grant, time.Now())
	}
	return h.Next(ctx, q)
}

// A Client asks all instances.
type Client struct{ Cluster cluster.Cluster }

// Find returns the screen that shows a code. The error is a *wire.Error that says why there is
// none.
func (c Client) Find(ctx context.Context, code string) (Request, error) {
	if !codeShape.MatchString(code) {
		return Request{}, wire.Errorf(wire.CodeInvalidData, "the code is %.20q: codes are eight letters without vowels, like BCDF-GHJK; read it from the screen again", code)
	}
	answers, fanOut, err := connadmin.Ask[[]Request](ctx, c.Cluster, kindFind, code)
	if err != nil {
		return Request{}, err
	}
	byID := map[string]Request{}
	var found Request
	for _, all := range answers {
		for _, r := range all {
			if before, known := byID[r.ID]; known {
				r.Since = min(r.Since, before.Since)
			}
			byID[r.ID], found = r, r
		}
	}
	switch {
	case len(byID) > 1:
		return Request{}, wire.Errorf(wire.CodeInvalidData, "two screens show this code: load one of them anew, and enter its new one")
	case len(byID) == 0 && !fanOut.Complete:
		return Request{}, wire.Errorf(wire.CodeUnavailable, "not all instances answered, and one of them may know the code: try again")
	case len(byID) == 0:
		return Request{}, wire.Errorf(wire.CodeInvalidData, "no screen shows the code %s now: read it again, codes change after %d minutes", code, int(Valid.Minutes()))
	}
	return found, nil
}

// Confirm lets the screen that shows a code have a token, whose ID it fills in. The error is a
// *wire.Error: then it gets none.
func (c Client) Confirm(ctx context.Context, code string, grant auth.ScreenGrant) (Request, auth.ScreenGrant, error) {
	if err := Check(grant); err != nil {
		return Request{}, grant, err
	}
	request, err := c.Find(ctx, code)
	if err != nil {
		return request, grant, err
	}
	grant.TokenID = "screen-" + rand.Text()[:16]
	answers, _, err := connadmin.Ask[struct{}](ctx, c.Cluster, kindConfirm, confirmation{request.ID, grant})
	if err == nil && len(answers) == 0 {
		err = wire.Errorf(wire.CodeUnavailable, "no instance could take it: try again")
	}
	return request, grant, err
}

// maxZones is how many zones a screen may be limited to.
const maxZones = 32

// Check reports what is wrong with a grant that an operator gives. The error is a *wire.Error.
func Check(g auth.ScreenGrant) error {
	if len(g.Name) > auth.MaxScreenName || utf8.RuneCountInString(g.Name) > 64 || strings.ContainsFunc(g.Name, unicode.IsControl) || strings.TrimSpace(g.Name) == "" {
		return wire.Errorf(wire.CodeInvalidData, "name is %.80q: give 1 to 64 characters, at most %d bytes, and none that control", g.Name, auth.MaxScreenName)
	}
	if len(g.Zones) > maxZones {
		return wire.Errorf(wire.CodeInvalidData, "zones has %d: at most %d are allowed; none are the whole warehouse", len(g.Zones), maxZones)
	}
	if _, err := wire.NewRoom(g.Warehouse, ""); err != nil {
		return err
	}
	for _, zone := range g.Zones {
		if zone == "" {
			return wire.Errorf(wire.CodeInvalidData, "zones has an empty name: leave it out")
		}
		if _, err := wire.NewRoom(g.Warehouse, zone); err != nil {
			return err
		}
	}
	return nil
}

// codeShape is that of [newCode].
var codeShape = regexp.MustCompile(`^[` + codeLetters + `]{4}-[` + codeLetters + `]{4}$`)

// ParseCode is a code as a person types it.
func ParseCode(typed string) string {
	letters := strings.ToUpper(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsPunct(r) {
			return -1
		}
		return r
	}, typed))
	if len(letters) == codeLength {
		letters = letters[:codeLength/2] + "-" + letters[codeLength/2:]
	}
	return letters
}

func randomBelow(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return int(i.Int64())
}
