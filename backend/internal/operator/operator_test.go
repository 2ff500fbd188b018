package operator

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

func hash(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	testkit.Must(t, err)
	return string(h)
}

func write(t testing.TB, name string, lines ...string) {
	t.Helper()
	testkit.Must(t, os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o600))
}

func open(t testing.TB, o Options) *Operators {
	t.Helper()
	all, err := New(o)
	testkit.Must(t, err)
	return all
}

// check returns the code of what someone at an address is answered; empty for being let in.
func check(o *Operators, address, name, password string, need Role) wire.ErrorCode {
	r := httptest.NewRequest("GET", "/ui/", nil)
	if name != "" {
		r.SetBasicAuth(name, password)
	}
	who, err := o.Identify(r, address)
	if err == nil {
		err = who.Require(need)
	}
	if err != nil {
		return wire.AsError(err).Code
	}
	return ""
}

func TestOperatorsMayDoWhatTheirRoleSays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "operators")
	write(t, file, "# who watches", "ann:"+hash(t, "ann's")+":viewer", "", "bob:"+hash(t, "bob's")+":operator", "eve:"+hash(t, "eve's")+":admin")
	both := Options{File: file, Password: "correct horse"}
	for _, c := range []struct {
		name           string
		give           Options
		user, password string
		need           Role
		want           wire.ErrorCode
	}{
		{"nothing is set", Options{}, "", "", Admin, ""},
		{"no operators beside secrets", Options{Closed: true}, "operator", "", Viewer, wire.CodeForbidden},
		{"the password", both, "operator", "correct horse", Admin, ""},
		{"another password", both, "operator", "correct horse!", Viewer, wire.CodeUnauthenticated},
		{"the password of no name", both, "ops", "correct horse", Viewer, wire.CodeUnauthenticated},
		{"nothing given", both, "", "", Viewer, wire.CodeUnauthenticated},
		{"a viewer looks", both, "ann", "ann's", Viewer, ""},
		{"a viewer disconnects", both, "ann", "ann's", Operator, wire.CodeForbidden},
		{"an operator disconnects", both, "bob", "bob's", Operator, ""},
		{"an operator as admin", both, "bob", "bob's", Admin, wire.CodeForbidden},
		{"an admin", both, "eve", "eve's", Admin, ""},
		{"the password of another", both, "eve", "bob's", Viewer, wire.CodeUnauthenticated},
		{"a huge password", both, "eve", strings.Repeat("x", 5000), Viewer, wire.CodeUnauthenticated},
		{"operator without OPERATOR_PASSWORD", Options{File: file}, "operator", "", Viewer, wire.CodeUnauthenticated},
	} {
		if got := check(open(t, c.give), "192.0.2.1", c.user, c.password, c.need); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestGuessesAreThrottledByAddressAndByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var why []string
		o := open(t, Options{Password: "correct horse", OnEvent: func(e Event) {
			if e.Result == Refused {
				why = append(why, e.Why)
			}
		}})
		for range int(addressGuesses.Tokens) {
			if got := check(o, "192.0.2.1", "operator", "guess", Viewer); got != wire.CodeUnauthenticated {
				t.Fatalf("a guess is answered %q", got)
			}
		}
		if got := check(o, "192.0.2.1", "operator", "correct horse", Viewer); got != wire.CodeRateLimited {
			t.Errorf("one guess too many is answered %q, though it be right", got)
		}
		if len(why) != int(addressGuesses.Tokens)+1 || why[0] != "wrong" || why[len(why)-1] != "throttled" {
			t.Errorf("counted as %v", why)
		}
		for range 1000 {
			if got := check(o, "192.0.2.2", "operator", "correct horse", Viewer); got != "" {
				t.Fatalf("an operator elsewhere is answered %q", got)
			}
		}
		for i := range 20 {
			check(o, "2001:db8::"+string(rune('a'+i%6)), "operator", "guess", Viewer) // a /64 is one address
		}
		if n := len(why) - int(addressGuesses.Tokens) - 1; why[len(why)-1] != "throttled" || n != 20 {
			t.Errorf("guesses from one /64: %v", why)
		}
		for i := range 30 {
			check(o, "198.51.100."+string(rune('a'+i)), "operator", "guess", Viewer)
		}
		if got := check(o, "203.0.113.1", "operator", "correct horse", Viewer); got != wire.CodeRateLimited {
			t.Errorf("a name guessed from everywhere is answered %q", got)
		}
		if got := check(o, "192.0.2.2", "operator", "correct horse", Viewer); got != "" {
			t.Errorf("who was in already is answered %q", got)
		}
		time.Sleep(time.Minute)
		if got := check(o, "192.0.2.1", "operator", "correct horse", Viewer); got != "" {
			t.Errorf("a minute later: %q", got)
		}
		time.Sleep(8 * time.Hour)
		for i := range 100 {
			check(o, fmt.Sprint("198.51.100.", i), "operator", "guess", Viewer)
		}
		if got := check(o, "203.0.113.1", "operator", "correct horse", Viewer); got != wire.CodeRateLimited {
			t.Errorf("a name guessed from everywhere the next day is answered %q", got)
		}
		if got := check(o, "192.0.2.2", "operator", "correct horse", Viewer); got != "" {
			t.Errorf("who comes from where he was in yesterday is answered %q", got)
		}
	})
}

// Who guesses at a name without a pause keeps no monitoring out that asks with it every minute.
func TestALoginStaysGoodForAsLongAsItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, Options{Password: "correct horse"})
		for minute := range 60 {
			if got := check(o, "192.0.2.2", "operator", "correct horse", Viewer); got != "" {
				t.Fatalf("after %d minutes it is answered %q", minute, got)
			}
			for n := range 60 {
				check(o, fmt.Sprint("198.51.100.", n), "operator", "guess", Viewer)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestThePasswordFileIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "operators")
	write(t, file, "ann:"+hash(t, "old")+":viewer")
	o := open(t, Options{File: file})
	if got := check(o, "192.0.2.1", "ann", "old", Viewer); got != "" {
		t.Fatalf("got %q", got)
	}
	write(t, file, "ann:"+hash(t, "new")+":admin", "bob:"+hash(t, "bob's")+":viewer")
	testkit.Eventually(t, "the file is read again", func() bool { _, ok := o.file.accounts()["bob"]; return ok })
	if got := check(o, "192.0.2.2", "bob", "bob's", Viewer); got != "" {
		t.Errorf("who was added: %q", got)
	}
	if got := check(o, "192.0.2.1", "ann", "old", Viewer); got != wire.CodeUnauthenticated {
		t.Errorf("the old password, which was right before: %q", got)
	}
	if got := check(o, "192.0.2.1", "ann", "new", Admin); got != "" {
		t.Errorf("the new password and role: %q", got)
	}
}

func TestMistakesInThePasswordFileAreAllSaid(t *testing.T) {
	good := hash(t, "pw")
	_, err := parse("ann\nbob:" + good + ":boss\neve:plain:admin\neve:$2y$04$abcdefghijklmnopqrstuuNn3CZyqLLq8fUeZw1G0xY3cZ5V9QX8m:admin\nzoe:" +
		good + ":viewer\nzoe:" + good + ":viewer\n")
	for _, part := range []string{"line 1 is not name", `line 2 has the role "boss"`, "line 3 has no bcrypt hash", "line 4 has a hash of cost 4", "line 6 names zoe again"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not mention %q", err, part)
		}
	}
	if err != nil && strings.Contains(err.Error(), good) {
		t.Error("the error shows a hash")
	}
	if _, err := parse("# nobody\n"); err == nil {
		t.Error("a file without operators is accepted")
	}
}
