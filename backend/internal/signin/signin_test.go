package signin

import "testing"

func TestSigningInLeadsToNoOtherSite(t *testing.T) {
	for give, want := range map[string]string{
		"/ui/?filter=a":                  "/ui/?filter=a",
		"/screen/":                       "/screen/",
		"/api/v1/connections?slow=true":  "/api/v1/connections?slow=true",
		"":                               home,
		"https://evil.example/":          home,
		"//evil.example/":                home,
		"///evil.example/":               home,
		`/\evil.example/`:                home,
		`\\evil.example/`:                home,
		"/\t/evil.example/":              home,
		"\t//evil.example":               home,
		"javascript:alert(1)":            home,
		"evil.example":                   home,
		"ui/":                            home,
		"/ui/login?next=/ui/login":       home,
		"/ui/login/oidc":                 home,
		"/ui/logout":                     home,
		"http:/evil.example":             home,
		"//user@evil.example/":           home,
		"/ui/\r\nSet-Cookie: a=b":        home,
		"/%2F/evil.example":              "/%2F/evil.example",
		"/ui/?next=https://evil.example": "/ui/?next=https://evil.example",
	} {
		if got := Next(give); got != want {
			t.Errorf("%q leads to %q, want %q", give, got, want)
		}
	}
}
