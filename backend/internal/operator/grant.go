package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/zonecast/zonecast/backend/wire"
)

// A Role permits what the roles before it do, and more.
type Role int

// The roles.
const (
	Viewer   Role = iota + 1 // looks
	Operator                 // disconnects clients
	Admin                    // everything
)

var roleNames = map[string]Role{"viewer": Viewer, "operator": Operator, "admin": Admin}

func (r Role) String() string {
	for name, role := range roleNames {
		if role == r {
			return name
		}
	}
	return "nobody"
}

// A Grant is a role in all warehouses, or in some.
type Grant struct {
	Role Role `json:"role"`
	// Warehouses are those that the role is limited to; empty for all.
	Warehouses []string `json:"warehouses,omitempty"`
}

// ParseGrant reads a grant as String writes it: a role, viewer, operator or admin, alone or
// followed by @ and the warehouses that it is limited to, separated by commas.
func ParseGrant(text string) (Grant, error) {
	name, warehouses, limited := strings.Cut(text, "@")
	role, known := roleNames[name]
	if !known {
		return Grant{}, fmt.Errorf("the role %.20q: write viewer, operator or admin", name)
	}
	g := Grant{Role: role}
	if !limited {
		return g, nil
	}
	g.Warehouses = strings.Split(warehouses, ",")
	for _, w := range g.Warehouses {
		if _, err := wire.NewRoom(w, ""); err != nil {
			return Grant{}, fmt.Errorf("the warehouse %.64q: write %s@warehouse-1,warehouse-2, or %[2]s alone for all", w, name)
		}
	}
	return g, nil
}

func (g Grant) String() string {
	if len(g.Warehouses) == 0 {
		return g.Role.String()
	}
	return g.Role.String() + "@" + strings.Join(g.Warehouses, ",")
}

// An Identity is an operator who is logged in. The zero value may do nothing.
type Identity struct {
	Name string
	// Grants add up.
	Grants []Grant
	// session is that of the request's cookie; nil for HTTP Basic.
	session *session
	// hash is that of the account whose password was given by HTTP Basic.
	hash string
	// federated says that an OpenID provider vouches for it, rather than an account here.
	federated bool
}

// HasSession reports whether a session says who it is, which can be ended, and not HTTP Basic.
func (i Identity) HasSession() bool { return i.session != nil }

// Warehouses returns those in which the operator has the role; all is true where it is not limited.
func (i Identity) Warehouses(need Role) (names []string, all bool) {
	for _, g := range i.Grants {
		switch {
		case g.Role < need:
		case len(g.Warehouses) == 0:
			return nil, true
		default:
			names = append(names, g.Warehouses...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), false
}

// Require returns nil if the operator has the role in all warehouses, or a *wire.Error.
func (i Identity) Require(need Role) error {
	if _, all := i.Warehouses(need); all {
		return nil
	}
	return i.lacks(need, "all warehouses")
}

// RequireAnywhere returns nil if the operator has the role in one warehouse at least, or a
// *wire.Error.
func (i Identity) RequireAnywhere(need Role) error {
	if names, all := i.Warehouses(need); all || len(names) > 0 {
		return nil
	}
	return i.lacks(need, "a warehouse")
}

// RequireIn returns nil if the operator has the role in the warehouse, or a *wire.Error.
func (i Identity) RequireIn(need Role, warehouse string) error {
	if names, all := i.Warehouses(need); all || slices.Contains(names, warehouse) {
		return nil
	}
	return i.lacks(need, warehouse)
}

func (i Identity) lacks(need Role, where string) error {
	var have []string
	for _, g := range i.Grants {
		have = append(have, g.String())
	}
	return wire.Errorf(wire.CodeForbidden, "this needs the role %v in %s, and you have %.200s: ask an admin of this server",
		need, where, strings.Join(append(have, "none")[:max(1, len(have))], " and "))
}

type contextKey struct{}

// With returns a context that knows who sends the request; see [From].
func With(ctx context.Context, who Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, who)
}

// From returns the operator whom [With] was given: the zero value for none.
func From(ctx context.Context) Identity {
	who, _ := ctx.Value(contextKey{}).(Identity)
	return who
}
