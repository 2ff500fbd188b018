package auth

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// An Identity is someone who was let in, with what they may do: decided once, when they come. What
// it permits is asked when a room is joined or published to, never when a message is delivered.
type Identity struct {
	// User is the token's subject; empty for someone anonymous.
	User string
	// Expires is when the token does; zero for never.
	Expires time.Time
	// TokenID and IssuedAt are the token's claims jti and iat, if it has them.
	TokenID  string
	IssuedAt time.Time
	// Key is the name of the publish key; empty for who came with a token, or with nothing.
	Key string

	digest    string    // of a token that says neither User nor TokenID
	until     time.Time // Expires, and the leeway
	anonymous bool
	join      grant
	publish   grant
	retain    grant
	seesTo    grant    // may acknowledge alerts there
	events    []string // that may be published; nil for all
}

// Until is when the identity is no longer accepted: Expires, and AUTH_LEEWAY later; zero for never.
func (i *Identity) Until() time.Time { return i.until }

// HasToken reports whether the identity is a token's, which may be revoked.
func (i *Identity) HasToken() bool { return !i.anonymous && i.Key == "" }

// UserOr returns the user: the token's, or what an anonymous client says. Who has a token without a
// subject has no name.
func (i *Identity) UserOr(said string) string {
	if i.anonymous {
		return said
	}
	return i.User
}

// MayJoin returns nil, or a *wire.Error of wire.CodeForbidden.
func (i *Identity) MayJoin(room wire.Room) error {
	if i.join.permits(room) {
		return nil
	}
	return wire.Errorf(wire.CodeForbidden, "the token does not permit %s: its claim warehouses is %s", room, i.join)
}

// MayPublish returns nil, or a *wire.Error of wire.CodeForbidden.
func (i *Identity) MayPublish(room wire.Room) error {
	switch {
	case i.publish.permits(room):
		return nil
	case i.Key != "":
		return wire.Errorf(wire.CodeForbidden, "the key %s does not permit %s: its warehouses are %s", i.Key, room, i.publish)
	case i.publish.isEmpty():
		return wire.Errorf(wire.CodeForbidden, "publishing is not permitted here: use a token with the claim publish, or the HTTP API with a key")
	}
	return wire.Errorf(wire.CodeForbidden, "the token does not permit publishing to %s: its claim publish covers %s", room, i.publish)
}

// MayPublishEvent returns nil, or a *wire.Error of wire.CodeForbidden.
func (i *Identity) MayPublishEvent(event string) error {
	if i.events == nil || slices.Contains(i.events, event) {
		return nil
	}
	return wire.Errorf(wire.CodeForbidden, "the key %s does not permit the event %.64q: its events are %s", i.Key, event,
		strings.Join(i.events, ", "))
}

// MayRetain tells whether the newest event may be kept for those who join the room later. It
// returns nil, or a *wire.Error of wire.CodeForbidden.
func (i *Identity) MayRetain(room wire.Room) error {
	switch {
	case i.retain.permits(room):
		return nil
	case i.Key != "":
		return wire.Errorf(wire.CodeForbidden, "the key %s does not permit retain in %s: leave retain out, or add it to the key's line", i.Key, room)
	}
	return wire.Errorf(wire.CodeForbidden, "the token does not permit retain in %s: leave retain out, or use a token with the claim retain", room)
}

// MayAcknowledge tells whether alerts may be acknowledged. Who may publish that somebody did may do
// so too. It returns nil, or a *wire.Error of wire.CodeForbidden.
func (i *Identity) MayAcknowledge(room wire.Room) error {
	if i.seesTo.permits(room) || i.MayPublish(room) == nil && i.MayPublishEvent(wire.EventAlertAcknowledged) == nil {
		return nil
	}
	return wire.Errorf(wire.CodeForbidden, "acknowledging alerts of %s is not permitted: sign in as an operator, send a PIN in the header Zonecast-Pin, "+
		"or use a token with the claim acknowledge", room)
}

// Permissions describes the identity to people: a key's, or a token's.
func (i *Identity) Permissions() string {
	until := "never"
	if !i.Expires.IsZero() {
		until = i.Expires.UTC().Format(time.RFC3339)
	}
	if i.Key != "" {
		return fmt.Sprintf("key: %s; expires: %s; publish: %s; events: %s; retain: %s",
			i.Key, until, i.publish, cmp.Or(strings.Join(i.events, ", "), "all"), i.retain)
	}
	return fmt.Sprintf("user: %s; expires: %s; join: %s; publish: %s; retain: %s; acknowledge: %s",
		cmp.Or(i.User, "(none)"), until, i.join, i.publish, i.retain, i.seesTo)
}

// A grant is a set of rooms: all, or those of warehouses.
type grant []warehouseGrant

// A warehouseGrant permits zones of a warehouse, or all of it.
type warehouseGrant struct {
	warehouse string   // "*" for every one
	zones     []string // nil: all zones and the room of the warehouse itself
}

var everything = grant{{warehouse: "*"}}

func (g grant) isEmpty() bool { return len(g) == 0 }

// permits reports whether room is in the set. A zone does not open the room of its warehouse.
func (g grant) permits(room wire.Room) bool {
	for _, w := range g {
		if (w.warehouse == room.Warehouse || w.warehouse == "*") &&
			(w.zones == nil || room.Zone != "" && slices.Contains(w.zones, room.Zone)) {
			return true
		}
	}
	return false
}

// String names what is permitted: "warehouse-1, warehouse-2 (zone-a, zone-b)".
func (g grant) String() string {
	var all []string
	for _, w := range g {
		switch {
		case w.zones == nil:
			all = append(all, w.warehouse)
		case len(w.zones) > 0:
			all = append(all, fmt.Sprintf("%s (%s)", w.warehouse, strings.Join(w.zones, ", ")))
		}
	}
	return cmp.Or(strings.Join(all, ", "), "empty")
}

// parseGrant reads a list of warehouses, or an object with the zones of each: ["*"] are all zones
// and the room of the warehouse.
func parseGrant(claim string, raw json.RawMessage) (grant, error) {
	switch raw[0] {
	case '[':
		names, err := parseNames(claim, raw)
		g := make(grant, len(names))
		for i, name := range names {
			g[i].warehouse = name
		}
		return g, err
	case '{':
		var zones map[string]json.RawMessage
		if err := json.Unmarshal(raw, &zones); err != nil {
			return nil, claimError("%s is not readable: %v", claim, err)
		}
		g := make(grant, 0, len(zones))
		for warehouse, list := range zones {
			names, err := parseNames(claim+"."+warehouse, list)
			if err != nil {
				return nil, err
			}
			if slices.Contains(names, "*") {
				names = nil
			}
			g = append(g, warehouseGrant{warehouse, names})
		}
		slices.SortFunc(g, func(x, y warehouseGrant) int { return strings.Compare(x.warehouse, y.warehouse) })
		return g, nil
	}
	return nil, claimError(`%s must be a list of warehouses, or an object like {"warehouse-1":["zone-a"],"warehouse-2":["*"]}`, claim)
}

// parseNames reads a list of names, which is not nil.
func parseNames(claim string, raw json.RawMessage) ([]string, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil || items == nil {
		return nil, claimError("%.80s must be a list of names", claim)
	}
	names := make([]string, len(items))
	for i, item := range items {
		if item[0] != '"' {
			return nil, claimError("%.80s must be a list of names: item %d is none", claim, i)
		}
		if err := json.Unmarshal(item, &names[i]); err != nil {
			return nil, claimError("%.80s must be a list of names: %v", claim, err)
		}
	}
	return names, nil
}

// parseAction reads the claim of an action: true for the rooms of another grant, false for none, or
// rooms of its own.
func parseAction(claim string, raw json.RawMessage, same grant) (grant, error) {
	switch {
	case bytes.Equal(raw, []byte("true")):
		return same, nil
	case bytes.Equal(raw, []byte("false")):
		return nil, nil
	case raw[0] == '[' || raw[0] == '{':
		return parseGrant(claim, raw)
	}
	return nil, claimError("%s must be true, false, a list of warehouses, or an object with their zones", claim)
}
