package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

func TestMistakesInTheSettingsOfOperatorsSayWhatToChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "operators")
	line, err := operator.NewLine("operator", "viewer", "a long password")
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(file, []byte(line), 0o600))
	for _, c := range []struct {
		give []string
		want string
	}{
		{[]string{"--operators-file=" + file, "--operator-password=another password"}, "OPERATORS_FILE names operator, whose password is OPERATOR_PASSWORD"},
		{[]string{"--session-secret=short"}, "SESSION_SECRET has 5 bytes"},
		{[]string{"--session-idle-timeout=2h", "--session-max-age=1h"}, "--session-idle-timeout 2h"},
		{[]string{"--oidc-client-id=x"}, "no effect without OIDC_ISSUER"},
		{[]string{"--oidc-issuer=https://login.example"}, "needs OIDC_CLIENT_ID"},
		{[]string{"--oidc-issuer=http://login.example", "--oidc-client-id=x"}, "https://login.example (http only on this machine)"},
		{[]string{"--oidc-issuer=https://login.example", "--oidc-client-id=x", "--oidc-roles=ops"}, `"ops" is not like value=operator@`},
		{[]string{"--oidc-issuer=https://login.example", "--oidc-client-id=x", "--oidc-roles=ops=boss"}, `"ops=boss" is not like value=operator@`},
		{[]string{"--oidc-issuer=https://login.example", "--oidc-client-id=x", "--oidc-redirect-url=https://push.example/"}, "https://push.example/ui/login/oidc/callback"},
	} {
		if _, err := parse(t, c.give...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v does not mention %q", c.give, err, c.want)
		}
	}
	c, err := parse(t, "--oidc-issuer=https://login.example/realm", "--oidc-client-id=x", "--oidc-roles=ops=admin;hall 3=operator@w3,w4")
	if err != nil || c.ProviderName() != "login.example" || c.Provider().Roles["hall 3"].String() != "operator@w3,w4" || len(c.Provider().Roles) != 2 {
		t.Errorf("got %v, %v", c.Provider().Roles, err)
	}
}
