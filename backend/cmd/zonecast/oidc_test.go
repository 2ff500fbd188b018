package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

const (
	providerSecret = "hidden-oidc-secret"
	providerUser   = "test-user2" // of the provider's example users, whose ID is id2
)

// users are those of an OpenID provider, with the claim roles.
type users struct {
	*storage.Storage
	inToken bool // also in the ID token, else at the UserInfo endpoint alone
	roles   map[string]any
}

func (u *users) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, r op.IDTokenRequest, scopes []string) error {
	if u.inToken {
		info.AppendClaims("roles", u.roles[r.GetSubject()])
	}
	return u.Storage.SetUserinfoFromRequest(ctx, info, r, scopes)
}

func (u *users) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	info.AppendClaims("roles", u.roles[subject])
	return u.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin)
}

// provider serves a real OpenID provider at l's address, for the client zonecast.
func provider(t *testing.T, l *httptest.Server, u *users, redirects ...string) {
	t.Helper()
	issuer := "http://" + l.Listener.Addr().String()
	u.Storage = storage.NewStorageWithClients(storage.NewUserStore(issuer),
		map[string]*storage.Client{"zonecast": storage.WebClient("zonecast", providerSecret, redirects...)})
	l.Config.Handler = exampleop.SetupServer(issuer, u, slog.New(slog.DiscardHandler), false, op.WithAllowInsecure())
	l.Start()
	t.Cleanup(l.Close)
}

// atProvider follows redirects to the provider, signs in there, and returns the address that it
// sends the browser back to.
func (b *browser) atProvider(path string) string {
	b.t.Helper()
	answer, page := b.get(path)
	if answer.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("%s: %s %s", path, answer.Status, page)
	}
	to := answer.Header.Get("Location")
	for range 5 {
		if strings.HasPrefix(to, b.server.url()) {
			return strings.TrimPrefix(to, b.server.url())
		}
		at, err := url.Parse(to)
		testkit.Must(b.t, err)
		var form url.Values
		method := http.MethodGet
		if strings.HasPrefix(at.Path, "/login/") {
			method, form = http.MethodPost, url.Values{"username": {providerUser}, "password": {"verysecure"}, "id": {at.Query().Get("authRequestID")}}
		}
		r, err := http.NewRequestWithContext(b.t.Context(), method, to, strings.NewReader(form.Encode()))
		testkit.Must(b.t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := b.client.Do(r)
		testkit.Must(b.t, err)
		answer.Body.Close()
		next, err := answer.Location()
		if err != nil {
			b.t.Fatalf("the provider answers %s %s with %s", method, to, answer.Status)
		}
		to = next.String()
	}
	b.t.Fatalf("the provider does not come to an end: %s", to)
	return ""
}

func withProvider(l *httptest.Server, flags ...string) []string {
	return append([]string{"--oidc-issuer=http://" + l.Listener.Addr().String(), "--oidc-client-id=zonecast",
		"--oidc-client-secret=" + providerSecret, "--oidc-name=Example ID"}, flags...)
}

func TestOperatorsSignInAtAnOpenIDProvider(t *testing.T) {
	for _, c := range []struct {
		name    string
		inToken bool
		roles   any
		flags   []string
		want    int    // of the dashboard
		limit   string // what the dashboard says
	}{
		{"a role in the ID token", true, []string{"unknown", "viewer"}, nil, http.StatusOK, ""},
		{"a role at UserInfo, of warehouses", false, []string{"operator@w1,w2"}, nil, http.StatusOK, "Rooms of w1, w2 only"},
		{"one text", true, "admin", nil, http.StatusOK, ""},
		{"inside another claim", true, map[string]any{"zonecast": []string{"viewer@w9"}}, []string{"--oidc-role-claim=roles.zonecast"}, http.StatusOK, "Rooms of w9 only"},
		{"a group that is mapped", true, []string{"hall-3"}, []string{"--oidc-roles=ops=admin;hall-3=viewer@w3"}, http.StatusOK, "Rooms of w3 only"},
		{"a role where groups are mapped", true, []string{"admin"}, []string{"--oidc-roles=ops=admin"}, http.StatusForbidden, ""},
		{"no role", true, []string{"somebody"}, nil, http.StatusForbidden, ""},
		{"of another type", true, 7, nil, http.StatusForbidden, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := httptest.NewUnstartedServer(nil)
			s := serving(t, withProvider(l, c.flags...)...)
			provider(t, l, &users{inToken: c.inToken, roles: map[string]any{"id2": c.roles}}, s.url()+"/ui/login/oidc/callback")
			b := s.browser(t)
			if _, page := b.get("/ui/login"); !strings.Contains(page, "Sign in with Example ID") || strings.Contains(page, `type="password"`) {
				t.Errorf("the page:\n%s", page)
			}
			back := b.atProvider("/ui/login/oidc?next=/ui/?filter=x")
			answer, page := b.get(back)
			if c.want != http.StatusOK {
				if answer.StatusCode != c.want || !strings.Contains(page, "grants no role here") {
					t.Errorf("%s\n%s", answer.Status, page)
				}
				return
			}
			if to := answer.Header.Get("Location"); answer.StatusCode != http.StatusSeeOther || to != "/ui/?filter=x" {
				t.Fatalf("%s to %q: %s", answer.Status, to, page)
			}
			if answer, page := b.get("/ui/"); answer.StatusCode != c.want || !strings.Contains(page, "<span>oidc:") || !strings.Contains(page, c.limit) ||
				c.limit == "" && strings.Contains(page, "Rooms of") {
				t.Errorf("the dashboard: %s\n%s", answer.Status, page)
			}
			if answer, _ := b.get(back); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("the same answer again: %s", answer.Status)
			}
		})
	}
}

func TestAnswersOfAnotherSignInAreRefused(t *testing.T) {
	l := httptest.NewUnstartedServer(nil)
	s := serving(t, withProvider(l)...)
	provider(t, l, &users{inToken: true, roles: map[string]any{"id2": "admin"}}, s.url()+"/ui/login/oidc/callback")
	attacker, victim := s.browser(t), s.browser(t)
	stolen := attacker.atProvider("/ui/login/oidc")
	refused := func(name string, b *browser, path string, want int) {
		t.Helper()
		answer, _ := b.get(path)
		if signed, _ := b.get("/ui/"); answer.StatusCode != want || signed.StatusCode == http.StatusOK {
			t.Errorf("%s: %s, and the dashboard %s", name, answer.Status, signed.Status)
		}
	}
	refused("an answer in a browser that did not ask", victim, stolen, http.StatusUnauthorized)
	victim.get("/ui/login/oidc")
	refused("an answer to another sign-in", victim, stolen, http.StatusUnauthorized)
	own, err := url.Parse(victim.atProvider("/ui/login/oidc"))
	testkit.Must(t, err)
	other, err := url.Parse(attacker.atProvider("/ui/login/oidc"))
	testkit.Must(t, err)
	mixed := own.Query()
	mixed.Set("code", other.Query().Get("code"))
	refused("the code of another sign-in (PKCE)", victim, own.Path+"?"+mixed.Encode(), http.StatusServiceUnavailable)
	state := func(b *browser) string {
		answer, _ := b.get("/ui/login/oidc")
		to, err := answer.Location()
		testkit.Must(t, err)
		return url.QueryEscape(to.Query().Get("state"))
	}
	refused("refused by the provider", victim, own.Path+"?error=access_denied&state="+state(victim), http.StatusServiceUnavailable)
	refused("of another issuer", victim, own.Path+"?iss=https://evil.example&code=x&state="+state(victim), http.StatusServiceUnavailable)
	refused("without a code", victim, own.Path+"?state="+state(victim), http.StatusServiceUnavailable)
}

// The server starts without its provider, says what is wrong, and goes on when the provider is
// there.
func TestAnOpenIDProviderMayBeAway(t *testing.T) {
	l := httptest.NewUnstartedServer(nil)
	s := serving(t, withProvider(l)...)
	l.Listener.Close()
	b := s.browser(t)
	if answer, page := b.get("/ui/login/oidc"); answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(page, "did not sign you in") ||
		answer.Header.Get("Retry-After") == "" || strings.Contains(page, providerSecret) {
		t.Errorf("without its provider: %s\n%s", answer.Status, page)
	}
	again, err := net.Listen("tcp", l.Listener.Addr().String())
	testkit.Must(t, err)
	l.Listener = again
	provider(t, l, &users{inToken: true, roles: map[string]any{"id2": "viewer"}}, s.url()+"/ui/login/oidc/callback")
	testkit.Eventually(t, "the provider is found", func() bool {
		answer, _ := b.get("/ui/login/oidc")
		return answer.StatusCode == http.StatusSeeOther
	})
	b.get(b.atProvider("/ui/login/oidc"))
	if answer, _ := b.get("/ui/"); answer.StatusCode != http.StatusOK {
		t.Errorf("signed in: %s", answer.Status)
	}
}
