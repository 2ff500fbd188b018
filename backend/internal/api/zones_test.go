package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// Whoever may join zones is told which there are, and which are most like a name that is none.
func TestTheZonesThatWerePublishedToAreListed(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	s := startWith(t, auth.Options{TokenSecret: secret, PublishKeys: []string{"key"}}, nil, 0, 0, "secret")
	for _, zone := range []string{"zone-a", "zone-b", "cold-store", "dock-1"} {
		answer := s.do(request{path: "/api/v1/warehouses/w1/zones/" + zone + "/broadcast", body: `{"event":"E"}`, header: map[string]string{"Authorization": "Bearer key"}})
		if answer.StatusCode != http.StatusOK {
			t.Fatal(read(t, answer))
		}
	}
	token := func(warehouses any) string {
		signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"warehouses": warehouses, "exp": 4102444800}).SignedString([]byte(secret))
		testkit.Must(t, err)
		return "Bearer " + signed
	}
	whole, some := token([]string{"w1"}), token(map[string][]string{"w1": {"dock-1", "other"}})
	for _, tt := range []struct{ query, authorization, want string }{
		{"", whole, "[cold-store dock-1 zone-a zone-b]"},
		{"?near=zne-b", whole, "[zone-b zone-a dock-1 cold-store]"},
		{"?near=ColdStore", whole, "[cold-store dock-1 zone-a zone-b]"},
		{"", some, "[dock-1]"},
		{"?near=zone-a", some, "[dock-1]"},
		{"", "Basic b3BlcmF0b3I6c2VjcmV0", "[cold-store dock-1 zone-a zone-b]"},
	} {
		answer := wantJSON[struct {
			Warehouse string
			Zones     []string
		}](t, s.do(request{method: http.MethodGet, path: "/api/v1/warehouses/w1/zones" + tt.query,
			header: map[string]string{"Authorization": tt.authorization}}), http.StatusOK)
		if got := fmt.Sprint(answer.Zones); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.query, got, tt.want)
		}
	}
	wantProblem(t, s.do(request{method: http.MethodGet, path: "/api/v1/warehouses/w1/zones"}), http.StatusUnauthorized, wire.CodeUnauthenticated, "token")
	wantProblem(t, s.do(request{method: http.MethodGet, path: "/api/v1/warehouses/w2/zones", header: map[string]string{"Authorization": some}}),
		http.StatusForbidden, wire.CodeForbidden, "w2")
}
