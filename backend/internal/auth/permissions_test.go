package auth_test

import (
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestTokenPermits(t *testing.T) {
	g := auth.New(auth.Options{TokenSecret: secret})
	rooms := []wire.Room{room(t, "w1", ""), room(t, "w1", "a"), room(t, "w1", "b"), room(t, "w2", "a")}
	type m = map[string]any
	for _, c := range []struct {
		name                  string
		give                  jwt.MapClaims
		join, publish, retain string // for each of the rooms: + for permitted, - for not
	}{
		{"nothing", jwt.MapClaims{}, "----", "----", "----"},
		{"the warehouse", jwt.MapClaims{"warehouses": []string{"w0", "w1"}}, "+++-", "----", "----"},
		{"another warehouse", jwt.MapClaims{"warehouses": []string{"w3"}, "publish": true, "retain": true}, "----", "----", "----"},
		{"all", jwt.MapClaims{"warehouses": []string{"*"}}, "++++", "----", "----"},
		{"publishing", jwt.MapClaims{"warehouses": []string{"w1"}, "publish": true}, "+++-", "+++-", "----"},
		{"retaining", jwt.MapClaims{"warehouses": []string{"w1"}, "publish": true, "retain": true}, "+++-", "+++-", "+++-"},
		{"retaining without publishing", jwt.MapClaims{"warehouses": []string{"w1"}, "retain": true}, "+++-", "----", "----"},
		{"publish is false", jwt.MapClaims{"warehouses": []string{"w1"}, "publish": false}, "+++-", "----", "----"},
		{"a zone", jwt.MapClaims{"warehouses": m{"w1": []string{"a"}}}, "-+--", "----", "----"},
		{"a zone and the room of its warehouse", jwt.MapClaims{"warehouses": m{"w1": []string{"@warehouse", "a"}}, "publish": true}, "++--", "++--", "----"},
		{"all zones and the warehouse", jwt.MapClaims{"warehouses": m{"w1": []string{"*"}}}, "+++-", "----", "----"},
		{"no zone", jwt.MapClaims{"warehouses": m{"w1": []string{}}}, "----", "----", "----"},
		{"a zone of each warehouse", jwt.MapClaims{"warehouses": m{"*": []string{"a"}}}, "-+-+", "----", "----"},
		{"one zone and another warehouse", jwt.MapClaims{"warehouses": m{"w1": []string{"b"}, "w2": []string{"*"}}}, "--++", "----", "----"},
		{"publishing to the same zones", jwt.MapClaims{"warehouses": m{"w1": []string{"a"}}, "publish": true}, "-+--", "-+--", "----"},
		{"publishing to other zones", jwt.MapClaims{"warehouses": []string{"w1"}, "publish": m{"w1": []string{"b"}}, "retain": true},
			"+++-", "--+-", "--+-"},
		{"publishing alone", jwt.MapClaims{"publish": []string{"w2"}, "retain": m{"w2": []string{"a"}}}, "----", "---+", "---+"},
		{"names in other letters", jwt.MapClaims{"Warehouses": []string{"*"}, "PUBLISH": true}, "----", "----", "----"},
		{"names of other letters", jwt.MapClaims{"warehouses": []string{"W1"}}, "----", "----", "----"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, err := g.Token(hs256(t, c.give), "")
			testkit.Must(t, err)
			for name, check := range map[string]struct {
				may  func(wire.Room) error
				want string
			}{"join": {i.MayJoin, c.join}, "publish": {i.MayPublish, c.publish}, "retain": {i.MayRetain, c.retain}} {
				got := ""
				for _, r := range rooms {
					switch code(check.may(r)) {
					case "":
						got += "+"
					case wire.CodeForbidden:
						got += "-"
					}
				}
				if got != check.want {
					t.Errorf("%s: %s, want %s", name, got, check.want)
				}
			}
		})
	}
}
