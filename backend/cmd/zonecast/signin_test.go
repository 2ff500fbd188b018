package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/bcrypt"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// hashes are those of the operators that tests have named: with -race one takes most of a second.
var hashes = map[string]string{}

// operatorsFile writes a password file: each line is name:role, the password is the name's.
func operatorsFile(t *testing.T, name string, lines ...string) {
	t.Helper()
	var text strings.Builder
	for _, line := range lines {
		name, role, _ := strings.Cut(line, ":")
		if hashes[name] == "" {
			hash, err := bcrypt.GenerateFromPassword([]byte(name+"'s password"), bcrypt.DefaultCost)
			testkit.Must(t, err)
			hashes[name] = string(hash)
		}
		text.WriteString(name + ":" + hashes[name] + ":" + role + "\n")
	}
	testkit.Must(t, os.WriteFile(name, []byte(text.String()), 0o600))
}

// A browser keeps cookies, asks for pages, and says what is sent from where. It shows redirects.
type browser struct {
	t      *testing.T
	server *server
	client *http.Client
	header http.Header
}

func (s *server) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	testkit.Must(t, err)
	return &browser{t: t, server: s, header: http.Header{"Accept": {"text/html,*/*;q=0.8"}, "Sec-Fetch-Site": {"same-origin"}}, client: &http.Client{Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// send sends a request, with a form unless that is nil.
func (b *browser) send(method, path string, form url.Values) (*http.Response, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.server.url()+path, strings.NewReader(form.Encode()))
	testkit.Must(b.t, err)
	r.Header = b.header.Clone()
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := b.client.Do(r)
	testkit.Must(b.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	testkit.Must(b.t, err)
	return answer, string(body)
}

func (b *browser) get(path string) (*http.Response, string) {
	b.t.Helper()
	return b.send(http.MethodGet, path, nil)
}

// signIn signs in with the password of operatorsFile, and returns the session's cookie.
func (b *browser) signIn(name string) *http.Cookie {
	b.t.Helper()
	answer, body := b.send(http.MethodPost, "/ui/login", url.Values{"name": {name}, "password": {name + "'s password"}})
	if answer.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("signing in as %s: %s %s", name, answer.Status, body)
	}
	return cookieOf(b.t, answer)
}

func cookieOf(t *testing.T, answer *http.Response) *http.Cookie {
	t.Helper()
	for _, c := range answer.Cookies() {
		if strings.HasSuffix(c.Name, "zonecast_session") {
			return c
		}
	}
	t.Fatalf("no session in %v", answer.Header)
	return nil
}

// with returns the status of a page for who has this cookie.
func (s *server) with(t *testing.T, value string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+"/ui/", nil)
	testkit.Must(t, err)
	r.AddCookie(&http.Cookie{Name: "zonecast_session", Value: value})
	answer, err := http.DefaultTransport.RoundTrip(r)
	testkit.Must(t, err)
	answer.Body.Close()
	return answer.StatusCode
}

// guarded starts a server with these operators, each name:role.
func guarded(t *testing.T, operators []string, flags ...string) (s *server, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "operators")
	operatorsFile(t, file, operators...)
	return serving(t, append([]string{"--operators-file=" + file}, flags...)...), file
}

func TestBrowsersSignInAndOutAndProgramsLogInAsBefore(t *testing.T) {
	s, _ := guarded(t, []string{"ann:viewer"})
	b := s.browser(t)
	answer, _ := b.get("/ui/?filter=a")
	if to := answer.Header.Get("Location"); answer.StatusCode != http.StatusSeeOther || to != "/ui/login?next=%2Fui%2F%3Ffilter%3Da" {
		t.Errorf("a browser without a session: %s to %s", answer.Status, to)
	}
	if answer, page := b.get("/ui/login?next=%2Fui%2F%3Ffilter%3Da"); answer.StatusCode != http.StatusOK ||
		!strings.Contains(page, `value="/ui/?filter=a"`) || strings.Contains(page, "Sign in with") {
		t.Errorf("the page: %s\n%s", answer.Status, page)
	}
	answer, page := b.send(http.MethodPost, "/ui/login", url.Values{"name": {"ann"}, "password": {"wrong"}, "next": {"/ui/?filter=a"}})
	if answer.StatusCode != http.StatusUnauthorized || !strings.Contains(page, "password is wrong") || !strings.Contains(page, `value="ann"`) ||
		len(answer.Cookies()) > 0 || answer.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("a wrong password: %s %v\n%s", answer.Status, answer.Header, page)
	}
	answer, _ = b.send(http.MethodPost, "/ui/login", url.Values{"name": {"ann"}, "password": {"ann's password"}, "next": {"/ui/?filter=a"}})
	if to := answer.Header.Get("Location"); answer.StatusCode != http.StatusSeeOther || to != "/ui/?filter=a" {
		t.Errorf("signed in: %s to %q", answer.Status, to)
	}
	if answer, page := b.get("/ui/?filter=a"); answer.StatusCode != http.StatusOK || !strings.Contains(page, "<span>ann</span>") || !strings.Contains(page, "Sign out") {
		t.Errorf("the dashboard: %s\n%s", answer.Status, page)
	}
	if answer, _ := b.get("/ui/login"); answer.Header.Get("Location") != "/ui/" {
		t.Errorf("the page for who is signed in: %s", answer.Status)
	}
	b.send(http.MethodPost, "/ui/logout", nil)
	if answer, _ := b.get("/ui/"); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("after signing out: %s", answer.Status)
	}

	for _, c := range []struct {
		name   string
		header http.Header
		status int
		asked  string // how WWW-Authenticate begins
	}{
		{"a program", http.Header{}, http.StatusUnauthorized, "Basic"},
		{"a program with a wrong login", http.Header{"Authorization": {"Basic YTpi"}, "Accept": {"text/html"}}, http.StatusUnauthorized, "Basic"},
		{"a script of the page", http.Header{"Sec-Fetch-Mode": {"cors"}, "Accept": {"text/html"}}, http.StatusUnauthorized, "Cookie"},
	} {
		b.header = c.header
		answer, _ := b.get("/ui/")
		if answer.StatusCode != c.status || !strings.HasPrefix(answer.Header.Get("WWW-Authenticate"), c.asked) {
			t.Errorf("%s: %s %q", c.name, answer.Status, answer.Header.Get("WWW-Authenticate"))
		}
	}
}

func TestTheSessionsCookieIsHiddenFromScriptsAndOtherSites(t *testing.T) {
	s, _ := guarded(t, []string{"ann:viewer"})
	if c := s.browser(t).signIn("ann"); c.Name != "zonecast_session" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure ||
		c.Path != "/" || c.Domain != "" {
		t.Errorf("over HTTP: %+v", c)
	}
	b := s.browser(t)
	b.header.Set("X-Forwarded-Proto", "https")
	if c := b.signIn("ann"); c.Secure {
		t.Errorf("whoever claims to be a proxy: %+v", c)
	}
	s, _ = guarded(t, []string{"ann:viewer"}, "--trusted-proxies=127.0.0.0/8")
	b = s.browser(t)
	b.header.Set("X-Forwarded-Proto", "https")
	c := b.signIn("ann")
	if c.Name != "__Host-zonecast_session" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || !c.Secure || c.Path != "/" || c.Domain != "" {
		t.Errorf("over TLS: %+v", c)
	}
	planted := s.browser(t)
	planted.header.Set("X-Forwarded-Proto", "https")
	planted.header.Set("Cookie", "zonecast_session="+c.Value)
	if answer, _ := planted.get("/ui/"); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("over TLS, a cookie that plain HTTP can set: %s", answer.Status)
	}
}

func TestNobodyIsGivenASessionThatIsKnownBefore(t *testing.T) {
	s, _ := guarded(t, []string{"ann:viewer", "bob:admin"})
	planted := s.browser(t).signIn("ann").Value
	b := s.browser(t)
	at, _ := url.Parse(s.url())
	b.client.Jar.SetCookies(at, []*http.Cookie{{Name: "zonecast_session", Value: planted}})
	first, second := b.signIn("bob").Value, b.signIn("bob").Value
	if first == planted || first == second {
		t.Error("the session is the one from before")
	}
	if _, page := b.get("/ui/"); !strings.Contains(page, "<span>bob</span>") {
		t.Errorf("the session is not bob's:\n%s", page)
	}
}

func TestForgedAndAlteredSessionsAreRefused(t *testing.T) {
	const secret = "--session-secret=0123456789abcdef0123456789abcdef"
	operators := []string{"ann:viewer", "bob:admin"}
	s, file := guarded(t, operators, secret)
	value := s.browser(t).signIn("ann").Value
	part := strings.Split(value, ".")
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"sub": "bob", "aud": "account", "exp": 4102444800, "end": 4102444800, "iat": 1}).
		SignedString(jwt.UnsafeAllowNoneSignatureType)
	testkit.Must(t, err)
	guessed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "bob", "aud": "account", "exp": 4102444800, "end": 4102444800, "iat": 1}).
		SignedString([]byte("0123456789abcdef0123456789abcdef"))
	testkit.Must(t, err)
	other := serving(t, "--operators-file="+file, "--session-secret=another secret of thirty-two bytes")
	bobs := strings.Split(s.browser(t).signIn("bob").Value, ".")
	for name, give := range map[string]string{"none": "", "no token": "x", "alg none": none, "signed with the secret itself": guessed,
		"another's claims": part[0] + "." + bobs[1] + "." + part[2], "cut off": value[:len(value)-3],
		"another server's": other.browser(t).signIn("bob").Value, "huge": strings.Repeat("a", 8000)} {
		if got := s.with(t, give); got != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got := s.with(t, value); got != http.StatusOK {
		t.Errorf("the genuine one: %d", got)
	}
	if again := serving(t, "--operators-file="+file, secret); again.with(t, value) != http.StatusOK {
		t.Error("a server with the same secret refuses it")
	}
	if changed := serving(t, "--operators-file="+file, "--session-secret=a new secret of thirty-two bytes.,0123456789abcdef0123456789abcdef"); changed.with(t, value) != http.StatusOK {
		t.Error("a server with a new secret before the old one refuses it")
	}
}

func TestPagesOfOtherSitesSignNobodyInOrOut(t *testing.T) {
	s, _ := guarded(t, []string{"ann:admin"})
	b := s.browser(t)
	value := b.signIn("ann").Value
	for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
		b.header = http.Header{"Accept": {"text/html"}, header[0]: {header[1]}}
		for _, c := range [][2]string{{http.MethodPost, "/ui/login"}, {http.MethodPost, "/ui/logout"}, {http.MethodDelete, "/api/v1/connections?warehouse=w"},
			{http.MethodDelete, "/api/v1/warehouses/w"}, {http.MethodPost, "/api/v1/revocations"}} {
			answer, _ := b.send(c[0], c[1], url.Values{"name": {"ann"}, "password": {"ann's password"}})
			if answer.StatusCode != http.StatusForbidden || len(answer.Cookies()) > 0 {
				t.Errorf("%v with %v: %s %v", c, header, answer.Status, answer.Cookies())
			}
		}
	}
	if got := s.with(t, value); got != http.StatusOK {
		t.Errorf("the session afterwards: %d", got)
	}
}

func TestGuessesOnTheFormAreThrottledAsThoseByBasic(t *testing.T) {
	s := serving(t, "--operator-password=operator's password") // which costs no bcrypt, as those of a file do
	b := s.browser(t)
	guess := func(password string) *http.Response {
		answer, _ := b.send(http.MethodPost, "/ui/login", url.Values{"name": {"operator"}, "password": {password}})
		return answer
	}
	testkit.Eventually(t, "guesses are throttled", func() bool {
		return guess("guess").StatusCode == http.StatusTooManyRequests
	})
	if answer := guess("operator's password"); answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") == "" {
		t.Errorf("the right one among them: %s", answer.Status)
	}
	b.header = http.Header{"Authorization": {"Basic b3BlcmF0b3I6b3BlcmF0b3IncyBwYXNzd29yZA=="}}
	if answer, _ := b.get("/ui/"); answer.StatusCode != http.StatusTooManyRequests {
		t.Errorf("by Basic then: %s", answer.Status)
	}
	if n := s.scrape(t)[`zonecast_login_failures_total{reason="wrong"}`]; n < 10 || n > 30 {
		t.Errorf("%v guesses are counted as wrong", n)
	}
}

func TestAChangedAccountEndsItsSessions(t *testing.T) {
	s, file := guarded(t, []string{"ann:admin", "bob:viewer", "eve:viewer"})
	ann, bob, eve := s.browser(t), s.browser(t), s.browser(t)
	ann.signIn("ann")
	bob.signIn("bob")
	value := eve.signIn("eve").Value
	stream := s.stream(t, value)
	before, err := os.ReadFile(file)
	testkit.Must(t, err)
	line := strings.SplitAfter(string(before), "\n")
	testkit.Must(t, os.WriteFile(file, []byte(strings.Replace(line[0], ":admin", ":viewer", 1)+line[1]), 0o600)) // eve has left
	testkit.Eventually(t, "a changed role ends the session", func() bool {
		answer, _ := ann.get("/ui/")
		return answer.StatusCode == http.StatusSeeOther && strings.Contains(answer.Header.Get("Location"), "reason=ended")
	})
	if answer, _ := bob.get("/ui/"); answer.StatusCode != http.StatusOK {
		t.Errorf("who was not changed: %s", answer.Status)
	}
	if got := s.with(t, value); got != http.StatusUnauthorized {
		t.Errorf("who was removed: %d", got)
	}
	_, _ = io.Copy(io.Discard, stream) // ends
}

// stream opens the dashboard's event stream, and returns it after its first line.
func (s *server) stream(t *testing.T, value string) io.Reader {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+"/ui/events", nil)
	testkit.Must(t, err)
	r.AddCookie(&http.Cookie{Name: "zonecast_session", Value: value})
	answer, err := http.DefaultClient.Do(r)
	testkit.Must(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	in := bufio.NewReader(answer.Body)
	if _, err := in.ReadString('\n'); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("the stream: %s, %v", answer.Status, err)
	}
	return in
}

// Behind a balancer each request may reach another instance.
func TestInstancesShareSessionsAndTheirEnd(t *testing.T) {
	redis := "--redis-url=" + stacktest.Redis(t, stack.Single).Redis.URL
	const secret = "--cluster-secret=0123456789abcdef0123456789abcdef"
	one, file := guarded(t, []string{"ann:viewer"}, redis, secret, "--node-name=one")
	two := serving(t, "--operators-file="+file, redis, secret, "--node-name=two")
	awaitCluster(t, one, 2)
	b := one.browser(t)
	value, other := b.signIn("ann").Value, one.browser(t).signIn("ann").Value
	if got := two.with(t, value); got != http.StatusOK {
		t.Fatalf("the other instance answers %d", got)
	}
	stream := two.stream(t, value)
	if answer, _ := b.send(http.MethodPost, "/ui/logout", nil); answer.Header.Get("Location") != "/ui/login?reason=out" {
		t.Errorf("signing out: %s to %s", answer.Status, answer.Header.Get("Location"))
	}
	_, _ = io.Copy(io.Discard, stream) // ends
	revocations := two.browser(t)
	revocations.signIn("ann")
	if _, body := revocations.get("/api/v1/revocations"); body != "{\"revocations\":[]}\n" {
		t.Errorf("listed among the revocations of tokens: %s", body)
	}
	three := serving(t, "--operators-file="+file, redis, secret, "--node-name=three")
	for _, s := range []*server{one, two, three} {
		if got := s.with(t, value); got != http.StatusUnauthorized {
			t.Errorf("%s takes a copy of the cookie after signing out: %d", s.config.NodeName, got)
		}
		if got := s.with(t, other); got != http.StatusOK {
			t.Errorf("%s refuses another session of the same operator: %d", s.config.NodeName, got)
		}
	}
}

// What is sent with a session that has ended is not done, and the answer says so.
func TestWithAnEndedSessionNothingIsDone(t *testing.T) {
	s, _ := guarded(t, []string{"ann:admin"})
	b := s.browser(t)
	at, _ := url.Parse(s.url())
	cookies := []*http.Cookie{b.signIn("ann")}
	conn, _, err := s.dial()
	testkit.Must(t, err)
	defer conn.Close()
	b.send(http.MethodPost, "/ui/logout", nil)
	b.client.Jar.SetCookies(at, cookies)
	answer, _ := b.send(http.MethodDelete, "/api/v1/connections?node="+s.config.NodeName, nil)
	if to := answer.Header.Get("Location"); answer.StatusCode != http.StatusSeeOther || to != "/ui/login?reason=not-done" {
		t.Errorf("from a page: %s to %s", answer.Status, to)
	}
	if _, page := b.get("/ui/login?reason=not-done"); !strings.Contains(page, "was not carried out") {
		t.Errorf("the page does not say that nothing was done:\n%s", page)
	}
	b.header.Set("Sec-Fetch-Mode", "cors")
	if answer, body := b.send(http.MethodDelete, "/api/v1/connections?node="+s.config.NodeName, nil); answer.StatusCode != http.StatusUnauthorized ||
		!strings.Contains(body, "nothing was done") {
		t.Errorf("from a script: %s %s", answer.Status, body)
	}
	if n := len(s.hub.Sessions()); n != 1 {
		t.Errorf("%d connections are left of 1", n)
	}
}
