package pairing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// newDesk returns a desk of an instance, and what it counts. Instances with the same key understand
// the same tickets.
func newDesk(key string) (*Desk, map[string]int) {
	counted := map[string]int{}
	return NewDesk(Options{Keys: func() [][]byte { return [][]byte{[]byte(strings.Repeat(key, 32))} },
		Issue:    func(g auth.ScreenGrant) (string, error) { return "token " + g.TokenID, nil },
		OnResult: func(result string) { counted[result]++ }}), counted
}

// instances is a cluster in which each desk answers.
type instances struct {
	cluster.Cluster
	desks  []*Desk
	silent int // more that don't answer
}

func (c instances) Ask(ctx context.Context, q cluster.Question) cluster.Answers {
	answers := cluster.Answers{Asked: len(c.desks) + c.silent}
	for n, d := range c.desks {
		one := cluster.Alone{Self: func() cluster.Node { return cluster.Node{Name: fmt.Sprint(n)} },
			Answer: Handler{d, func(context.Context, cluster.Question) (any, error) { return nil, errors.New("not known") }}.Answer}.Ask(ctx, q)
		answers.All, answers.Missing = append(answers.All, one.All...), append(answers.Missing, one.Missing...)
	}
	for range c.silent {
		answers.Missing = append(answers.Missing, "silent")
	}
	return answers
}

func from(address string) Request { return Request{Address: address} }

// come is Come that succeeds.
func (d *Desk) come(t *testing.T, ticket string, now time.Time) Answer {
	t.Helper()
	got, err := d.Come(ticket, from("192.0.2.1"), now)
	testkit.Must(t, err)
	return got
}

// A screen comes to any instance, and so does the operator: what the one opened and the other
// confirmed, a third gives the token for, again while the answer may have been lost.
func TestAScreenIsPairedAtAnyInstance(t *testing.T) {
	a, counted := newDesk("k")
	b, _ := newDesk("k")
	c, _ := newDesk("k")
	now := time.Now()
	opened := a.come(t, "", now)
	if !codeShape.MatchString(opened.Code) || !opened.New || opened.Token != "" || opened.ExpiresIn < Valid-2*time.Second {
		t.Fatalf("opened: %+v", opened)
	}
	if again := b.come(t, opened.Ticket, now); again.Code != opened.Code || again.New || again.Ticket != opened.Ticket {
		t.Errorf("at another instance it is %+v", again)
	}
	client := Client{instances{desks: []*Desk{a, b, c}}}
	request, grant, err := client.Confirm(t.Context(), opened.Code, auth.ScreenGrant{Name: "Dock 3", Warehouse: "w", Zones: []string{"z"}})
	if err != nil || request.Address != "192.0.2.1" || !strings.HasPrefix(grant.TokenID, "screen-") {
		t.Fatalf("confirmed: %+v %+v %v", request, grant, err)
	}
	for _, d := range []*Desk{c, b, c} {
		if got := d.come(t, opened.Ticket, now); got.Token != "token "+grant.TokenID || got.Grant.Zones[0] != "z" || got.Code != "" {
			t.Errorf("got %+v", got)
		}
	}
	if _, _, err := client.Confirm(t.Context(), opened.Code, grant); wire.AsError(err).Code != wire.CodeInvalidData {
		t.Errorf("confirmed a second time: %v", err)
	}
	if counted[Opened] != 1 {
		t.Errorf("counted %v", counted)
	}
}

// The code, which everybody can read, is no ticket; neither is one that is forged, of another
// server or over.
func TestWithoutItsTicketNobodyGetsAToken(t *testing.T) {
	d, _ := newDesk("k")
	other, _ := newDesk("o")
	now := time.Now()
	opened := d.come(t, "", now)
	foreign := other.come(t, "", now).Ticket
	_, _, err := Client{instances{desks: []*Desk{d}}}.Confirm(t.Context(), opened.Code, auth.ScreenGrant{Name: "n", Warehouse: "w"})
	testkit.Must(t, err)
	unsigned := opened.Ticket[:strings.LastIndexByte(opened.Ticket, '.')+1]
	for name, ticket := range map[string]string{"the code": opened.Code, "none": "", "of another server": foreign, "without its signature": unsigned, "changed": opened.Ticket + "A"} {
		if got := d.come(t, ticket, now); got.Token != "" || got.Code == opened.Code || !got.New {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := d.come(t, opened.Ticket, now.Add(Valid+time.Second)); got.Token != "" || got.Code == opened.Code {
		t.Errorf("after its end: %+v", got)
	}
}

// Strangers open so many codes and no more; those that nobody shows any longer make room, and
// everything is counted.
func TestOpenCodesAreBounded(t *testing.T) {
	d, counted := newDesk("k")
	now := time.Now()
	tickets := []string{}
	for n := range maxOfAddress {
		got, err := d.Come("", from("192.0.2.1"), now)
		if err != nil {
			t.Fatalf("code %d: %v", n+1, err)
		}
		tickets = append(tickets, got.Ticket)
	}
	full := func(address string, now time.Time) {
		t.Helper()
		_, err := d.Come("", from(address), now)
		if e := wire.AsError(err); e.Code != wire.CodeRateLimited || e.RetryAfter == 0 {
			t.Errorf("one too many: %v", err)
		}
	}
	full("192.0.2.1", now)
	for n := maxOfAddress; n < MaxOpen; n++ {
		if _, err := d.Come("", from(fmt.Sprint("2001:db8::", n)), now); err != nil {
			t.Fatalf("code %d: %v", n+1, err)
		}
	}
	full("192.0.2.2", now)
	if len(d.open) != MaxOpen || counted[Opened] != MaxOpen || counted[Full] != 2 {
		t.Errorf("%d are open, counted %v", len(d.open), counted)
	}
	later := now.Add(silence + time.Second)
	if _, err := d.Come(tickets[0], from("192.0.2.1"), later); err != nil { // one that comes still is kept
		t.Error(err)
	}
	if _, err := d.Come("", from("192.0.2.1"), later); err != nil {
		t.Errorf("those that nobody shows keep their places: %v", err)
	}
	if len(d.open) > 3 || len(d.ofAddress) != 1 {
		t.Errorf("%d are open at %d addresses", len(d.open), len(d.ofAddress))
	}
}

// What operators confirmed is bounded too, and forgotten with the tickets.
func TestConfirmationsAreForgotten(t *testing.T) {
	d, _ := newDesk("k")
	now := time.Now()
	for n := range maxConfirmed {
		testkit.Must(t, d.confirm(fmt.Sprint(n), auth.ScreenGrant{}, now))
	}
	if d.confirm("x", auth.ScreenGrant{}, now) == nil || d.confirm("0", auth.ScreenGrant{}, now) != nil {
		t.Error("one too many is taken, or what was confirmed already is not")
	}
	testkit.Must(t, d.confirm("x", auth.ScreenGrant{}, now.Add(Valid)))
	if len(d.confirmed) != 1 {
		t.Errorf("%d are kept", len(d.confirmed))
	}
}

func TestWhyNoScreenIsPaired(t *testing.T) {
	d, _ := newDesk("k")
	two, _ := newDesk("k")
	now := time.Now()
	opened := d.come(t, "", now)
	twin := two.come(t, "", now)
	for _, s := range two.open {
		s.Code = "TWNS-TWNS"
	}
	second := d.come(t, twin.Ticket, now)
	for _, s := range d.open {
		if s.Code == second.Code {
			s.ID, s.Code = "other", "TWNS-TWNS"
		}
	}
	good := auth.ScreenGrant{Name: "Dock 3", Warehouse: "w", Zones: []string{"z"}}
	with := func(change func(*auth.ScreenGrant)) auth.ScreenGrant {
		g := good
		change(&g)
		return g
	}
	all := instances{desks: []*Desk{d, two}}
	unknown := "ZZZZ-ZZZZ"
	for _, c := range []struct {
		name    string
		cluster cluster.Cluster
		code    string
		grant   auth.ScreenGrant
		want    wire.ErrorCode
		says    string
	}{
		{"no code", all, "", good, wire.CodeInvalidData, "eight letters"},
		{"digits", all, "1234-5678", good, wire.CodeInvalidData, "eight letters"},
		{"unknown", all, unknown, good, wire.CodeInvalidData, "no screen shows"},
		{"unknown, and an instance is silent", instances{desks: all.desks, silent: 1}, unknown, good, wire.CodeUnavailable, "not all instances"},
		{"two of the same code", all, "TWNS-TWNS", good, wire.CodeInvalidData, "two screens"},
		{"no name", all, opened.Code, with(func(g *auth.ScreenGrant) { g.Name = " " }), wire.CodeInvalidData, "name"},
		{"a long name", all, opened.Code, with(func(g *auth.ScreenGrant) { g.Name = strings.Repeat("ä", 64) }), wire.CodeInvalidData, "121 bytes"},
		{"control characters", all, opened.Code, with(func(g *auth.ScreenGrant) { g.Name = "a\nb" }), wire.CodeInvalidData, "control"},
		{"no warehouse", all, opened.Code, with(func(g *auth.ScreenGrant) { g.Warehouse = "" }), wire.CodeInvalidRoom, ""},
		{"every warehouse", all, opened.Code, with(func(g *auth.ScreenGrant) { g.Warehouse = "*" }), wire.CodeInvalidRoom, ""},
		{"every zone", all, opened.Code, with(func(g *auth.ScreenGrant) { g.Zones = []string{"*"} }), wire.CodeInvalidRoom, ""},
		{"an empty zone", all, opened.Code, with(func(g *auth.ScreenGrant) { g.Zones = []string{""} }), wire.CodeInvalidData, "empty name"},
		{"many zones", all, opened.Code, with(func(g *auth.ScreenGrant) { g.Zones = make([]string, 33) }), wire.CodeInvalidData, "at most 32"},
	} {
		_, _, err := Client{c.cluster}.Confirm(t.Context(), c.code, c.grant)
		if e := wire.AsError(err); err == nil || e.Code != c.want || !strings.Contains(e.Message, c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if got := d.come(t, opened.Ticket, now); got.Code != opened.Code {
		t.Errorf("the code is not open any longer: %+v", got)
	}
}

func TestACodeIsReadAsItIsTyped(t *testing.T) {
	for give, want := range map[string]string{"BCDF-GHJK": "BCDF-GHJK", " bcdf ghjk ": "BCDF-GHJK", "bcdfghjk": "BCDF-GHJK", "bcdf–ghjk": "BCDF-GHJK",
		"": "", "BCDF": "BCDF"} {
		if got := ParseCode(give); got != want {
			t.Errorf("%q is %q, want %q", give, got, want)
		}
	}
}

// The path has the modules of the code, and nothing else.
func TestAQRCodeIsDrawnAsItIs(t *testing.T) {
	const text = "https://zonecast.example/ui/screens?code=BCDF-GHJK"
	drawn, err := NewQR(text)
	testkit.Must(t, err)
	want, err := qr.Encode(text, qr.M)
	testkit.Must(t, err)
	dark := map[[2]int]bool{}
	for run := range strings.SplitSeq(strings.TrimSuffix(drawn.Path, "z"), "z") {
		var x, y, n, back int
		if _, err := fmt.Sscanf(run, "M%d %dh%dv1h-%d", &x, &y, &n, &back); err != nil || back != n {
			t.Fatalf("%q: %v", run, err)
		}
		for i := range n {
			dark[[2]int{x + i - quiet, y - quiet}] = true
		}
	}
	if drawn.Size != want.Size+2*quiet {
		t.Errorf("its size is %d, want %d", drawn.Size, want.Size+2*quiet)
	}
	for y := -quiet; y < want.Size+quiet; y++ {
		for x := -quiet; x < want.Size+quiet; x++ {
			if dark[[2]int{x, y}] != want.Black(x, y) {
				t.Fatalf("module %d, %d", x, y)
			}
		}
	}
}
