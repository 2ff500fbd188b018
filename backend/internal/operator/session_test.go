package operator

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// A browser has the cookie of a session.
type browser struct {
	o      *Operators
	cookie *http.Cookie
}

func signedIn(t *testing.T, o *Operators, name, password string) *browser {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/ui/login", nil)
	who, err := o.Login(r, "192.0.2.1", name, password)
	testkit.Must(t, err)
	w := httptest.NewRecorder()
	testkit.Must(t, o.Begin(w, r, "192.0.2.1", who))
	return &browser{o, w.Result().Cookies()[0]}
}

// ask sends a request, takes a renewed cookie, and reports whether it was let in.
func (b *browser) ask() bool {
	r, w := httptest.NewRequest(http.MethodGet, "/ui/", nil), httptest.NewRecorder()
	r.AddCookie(b.cookie)
	who, err := b.o.Identify(r, "192.0.2.1")
	if err != nil {
		return false
	}
	b.o.Renew(w, r, who)
	if renewed := w.Result().Cookies(); len(renewed) > 0 {
		b.cookie = renewed[0]
	}
	return true
}

func TestSessionsEndWhenUnusedAndAfterTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, Options{Password: "correct horse", Sessions: SessionOptions{IdleTimeout: 10 * time.Minute, MaxAge: time.Hour}})
		unused, used := signedIn(t, o, DefaultName, "correct horse"), signedIn(t, o, DefaultName, "correct horse")
		copied := *used
		for range 11 {
			time.Sleep(5 * time.Minute)
			if !used.ask() {
				t.Fatal("a session in use has ended")
			}
		}
		if unused.ask() || copied.ask() {
			t.Error("a cookie that was not used for longer than the idle timeout is accepted")
		}
		time.Sleep(5*time.Minute + time.Second)
		if used.ask() {
			t.Error("a session in use lasts longer than its time")
		}
	})
}

func TestNobodyBeginsSessionsWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, Options{Password: "correct horse"})
		r := httptest.NewRequest(http.MethodPost, "/ui/login", nil)
		begun := 0
		for range 100 {
			if o.Begin(httptest.NewRecorder(), r, "192.0.2.1", Identity{Name: DefaultName}) == nil {
				begun++
			}
		}
		if begun != int(newSessions.Tokens) {
			t.Errorf("%d sessions were begun at once, want %v", begun, newSessions.Tokens)
		}
	})
}

// The account may be another's, or have another role.
func TestASessionIsBoundToItsAccount(t *testing.T) {
	file := filepath.Join(t.TempDir(), "operators")
	anns := hash(t, "ann's")
	secrets := SessionOptions{Secrets: []string{"0123456789abcdef0123456789abcdef"}}
	write(t, file, "ann:"+anns+":operator@w1")
	ann := signedIn(t, open(t, Options{File: file, Sessions: secrets}), "ann", "ann's")
	for _, c := range []struct {
		name string
		give string
		want bool
	}{
		{"the same", "ann:" + anns + ":operator@w1", true},
		{"another hash of the same password", "ann:" + hash(t, "ann's") + ":operator@w1", false},
		{"another role", "ann:" + anns + ":viewer@w1", false},
		{"another warehouse", "ann:" + anns + ":operator@w2", false},
		{"no limit", "ann:" + anns + ":operator", false},
		{"removed", "bob:" + anns + ":operator@w1", false},
	} {
		write(t, file, c.give)
		ann.o = open(t, Options{File: file, Sessions: secrets}) // another instance, or the same after a restart
		if got := ann.ask(); got != c.want {
			t.Errorf("%s: let in %v, want %v", c.name, got, c.want)
		}
	}
}

func TestEveryWayInAndOutIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Event
		o := open(t, Options{Password: "correct horse", OnEvent: func(e Event) { got = append(got, e) }})
		b := signedIn(t, o, DefaultName, "correct horse")
		for range 3 {
			check(o, "192.0.2.2", DefaultName, "correct horse", Viewer)
		}
		check(o, "192.0.2.3", "guess", "guess", Viewer)
		r := httptest.NewRequest(http.MethodPost, "/ui/logout", nil)
		testkit.Must(t, o.End(httptest.NewRecorder(), r, "192.0.2.1")) // no session: nothing happens
		r.AddCookie(b.cookie)
		testkit.Must(t, o.End(httptest.NewRecorder(), r, "192.0.2.1"))
		want := []Event{{Who: DefaultName, Action: SignIn, Result: OK, Why: "form", Address: "192.0.2.1"},
			{Who: DefaultName, Action: SignIn, Result: OK, Why: "HTTP Basic", Address: "192.0.2.2"},
			{Who: "guess", Action: SignIn, Result: Refused, Why: "wrong", Address: "192.0.2.3"},
			{Who: DefaultName, Action: SignOut, Result: OK, Address: "192.0.2.1"}}
		if !slices.Equal(got, want) {
			t.Errorf("reported %+v, want %+v", got, want)
		}
	})
}

// Strangers can't fill a log with their guesses.
func TestRefusalsBeyondAFewAreOnlyCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		events := 0
		o := open(t, Options{Password: "correct horse", Log: slog.New(slog.NewTextHandler(&log, nil)), OnEvent: func(Event) { events++ }})
		for range 1000 {
			check(o, "192.0.2.1", "guess", "guess", Viewer)
		}
		if lines := strings.Count(log.String(), "\n"); events != 1000 || lines != int(refusals.Tokens) {
			t.Errorf("%d events, %d lines; want 1000 and %v", events, lines, refusals.Tokens)
		}
	})
}

// A session, or an account, that has ended lets nothing go on that began before.
func TestWhatIsUnderWayKnowsWhetherItIsStillLetIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "operators")
	write(t, file, "ann:"+hash(t, "ann's")+":viewer", "bob:"+hash(t, "bob's")+":viewer")
	ended := map[string]bool{}
	o := open(t, Options{File: file, Sessions: SessionOptions{Ended: func(id string) bool { return ended[id] },
		End: func(_ context.Context, id string, _ time.Time) error { ended[id] = true; return nil }}})
	b := signedIn(t, o, "ann", "ann's")
	bySession, byBasic := httptest.NewRequest(http.MethodGet, "/ui/events", nil), httptest.NewRequest(http.MethodGet, "/ui/events", nil)
	bySession.AddCookie(b.cookie)
	byBasic.SetBasicAuth("bob", "bob's")
	for _, r := range []**http.Request{&bySession, &byBasic} {
		who, err := o.Identify(*r, "192.0.2.1")
		testkit.Must(t, err)
		*r = (*r).WithContext(With(t.Context(), who))
		if !o.StillValid(*r) {
			t.Errorf("%s is not let in any longer", who.Name)
		}
	}
	testkit.Must(t, o.End(httptest.NewRecorder(), bySession, "192.0.2.1"))
	if o.StillValid(bySession) || b.ask() {
		t.Error("let in after signing out")
	}
	write(t, file, "bob:"+hash(t, "bob's")+":viewer")
	testkit.Eventually(t, "a changed password ends what is under way by HTTP Basic", func() bool { return !o.StillValid(byBasic) })
}

// What strangers send is not decoded, however long it is; browsers keep no cookies of this length
// either.
func TestCookiesThatAreTooLongAreNotDecoded(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	for length, accepted := range map[int]bool{1 << 10: true, 4 << 10: false} {
		claims := jwt.RegisteredClaims{ID: strings.Repeat("i", length), Audience: jwt.ClaimStrings{ofAccount},
			ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}
		keys := []jwt.VerificationKey{secret}
		text, err := sign(claims, keys)
		testkit.Must(t, err)
		decoded := false
		err = verify(text, &jwt.RegisteredClaims{}, func() ([]jwt.VerificationKey, error) {
			decoded = true
			return keys, nil
		}, ofAccount)
		if decoded != accepted || (err == nil) != accepted {
			t.Errorf("%d bytes are decoded: %v, %v", len(text), decoded, err)
		}
	}
}
