package auth_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// newKey makes a key, and the line of it.
func newKey(t testing.TB, k auth.PublishKey) (key, line string) {
	t.Helper()
	key, line, err := auth.NewPublishKey(k)
	testkit.Must(t, err)
	return key, line
}

// service asks who calls with a key.
func service(g *auth.Guard, key string) (*auth.Identity, error) {
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Authorization", "Bearer "+key)
	return g.Service(r, auth.Visit{})
}

func TestANamedKeyIsHeldToItsScope(t *testing.T) {
	key, line := newKey(t, auth.PublishKey{Name: "billing", Warehouses: []string{"w1:a", "w1:b", "w2"}, Events: []string{"ALERT"}})
	if strings.Contains(line, key) || !strings.HasPrefix(line, "billing sha256:") {
		t.Errorf("the line of %s is %s", key, line)
	}
	keeper, keeperLine := newKey(t, auth.PublishKey{Name: "keeper", Warehouses: []string{"*"}, Retain: true})
	g := open(t, auth.Options{PublishKeysFile: write(t, "keys", []byte("# services\n\n"+line+"\n"+keeperLine+"\n"))})
	who, err := service(g, key)
	testkit.Must(t, err)
	if who.Key != "billing" || who.User != "" {
		t.Errorf("the key is of %+v", who)
	}
	all, err := service(g, keeper)
	testkit.Must(t, err)
	for _, c := range []struct {
		name string
		give error
		want wire.ErrorCode
		part string // of the error
	}{
		{"its zone", who.MayPublish(room(t, "w1", "b")), "", ""},
		{"the warehouse of its zone", who.MayPublish(room(t, "w1", "")), wire.CodeForbidden, "the key billing does not permit warehouse:w1"},
		{"its warehouse", who.MayPublish(room(t, "w2", "")), "", ""},
		{"another warehouse", who.MayPublish(room(t, "w3", "")), wire.CodeForbidden, "its warehouses are w1 (a)"},
		{"its event", who.MayPublishEvent("ALERT"), "", ""},
		{"another event", who.MayPublishEvent("E"), wire.CodeForbidden, "its events are ALERT"},
		{"retain", who.MayRetain(room(t, "w2", "")), wire.CodeForbidden, "the key billing does not permit retain"},
		{"anything", all.MayPublish(room(t, "w3", "z")), "", ""},
		{"any event", all.MayPublishEvent("E"), "", ""},
		{"its retain", all.MayRetain(room(t, "w3", "z")), "", ""},
	} {
		if code(c.give) != c.want || c.give != nil && !strings.Contains(c.give.Error(), c.part) {
			t.Errorf("%s: got %v, want %q with %q", c.name, c.give, c.want, c.part)
		}
	}
	if _, err := service(g, key+"x"); code(err) != wire.CodeUnauthenticated {
		t.Errorf("a key that is none: %v", err)
	}
	// Where services need keys, clients without a token may not publish.
	anyone, err := g.Token("", "")
	testkit.Must(t, err)
	if code(anyone.MayPublish(room(t, "w1", ""))) != wire.CodeForbidden {
		t.Error("a client may publish beside the keys")
	}
}

func TestAKeyExpires(t *testing.T) {
	old, oldLine := newKey(t, auth.PublishKey{Name: "old", Warehouses: []string{"*"}, Expires: time.Now().Add(-time.Minute)})
	young, youngLine := newKey(t, auth.PublishKey{Name: "young", Warehouses: []string{"*"}, Expires: time.Now().Add(time.Hour)})
	g := open(t, auth.Options{PublishKeysFile: write(t, "keys", []byte(oldLine+"\n"+youngLine))})
	if _, err := service(g, old); code(err) != wire.CodeUnauthenticated || !strings.Contains(err.Error(), "key old has expired") {
		t.Errorf("an expired key: %v", err)
	}
	if _, err := service(g, young); err != nil {
		t.Error(err)
	}
}

// Beside plain keys and tokens.
func TestNamedKeysStandBesideOtherCredentials(t *testing.T) {
	key, line := newKey(t, auth.PublishKey{Name: "k", Warehouses: []string{"*"}})
	g := open(t, auth.Options{TokenSecret: secret, PublishKeys: []string{"plain"}, PublishKeysFile: write(t, "keys", []byte(line))})
	for _, give := range []string{key, "plain", hs256(t, jwt.MapClaims{"publish": []string{"*"}})} {
		if who, err := service(g, give); err != nil || who.MayPublish(room(t, "w", "")) != nil {
			t.Errorf("%.10s…: %v", give, err)
		}
	}
}

func TestMistakesInTheFileOfKeysSayWhatToChange(t *testing.T) {
	hash := "sha256:" + strings.Repeat("0", 64)
	for _, c := range []struct{ name, give, want string }{
		{"no hash", "k", "line 1: write NAME"},
		{"the key itself", "\nk zck_abc warehouses=*", "line 2: key k: the second field must be sha256:"},
		{"half a hash", "k sha256:00 warehouses=*", "64 hexadecimal digits"},
		{"more than a hash", "k " + hash + "00 warehouses=*", "64 hexadecimal digits"},
		{"a name with a slash", "k/l " + hash + " warehouses=*", "the name"},
		{"no scope", "k " + hash, "warehouses=… is missing"},
		{"an empty scope", "k " + hash + " warehouses=", "not known"},
		{"a zone without a name", "k " + hash + " warehouses=w:", "write *, a warehouse, or warehouse:zone"},
		{"an event that can't be published", "k " + hash + " warehouses=* events=subscribe", "events"},
		{"a field that is not known", "k " + hash + " warehouses=* retained", `"retained" is not known`},
		{"a time that is none", "k " + hash + " warehouses=* expires=tomorrow", "2027-01-31T00:00:00Z"},
		{"two of one name", "k " + hash + " warehouses=*\nk " + hash + " warehouses=*", "line 2: there is another key k"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := auth.Open(t.Context(), auth.Options{PublishKeysFile: write(t, "keys", []byte(c.give))})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "PUBLISH_KEYS_FILE") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Keys are taken over while the server runs, however the file is replaced; a file with a mistake
// leaves those from before.
func TestKeysAreReloaded(t *testing.T) {
	one, oneLine := newKey(t, auth.PublishKey{Name: "one", Warehouses: []string{"*"}})
	two, twoLine := newKey(t, auth.PublishKey{Name: "two", Warehouses: []string{"*"}})
	valid := func(g *auth.Guard, key string) bool { _, err := service(g, key); return err == nil }
	overwrite := func(t *testing.T, path, text string) { testkit.Must(t, os.WriteFile(path, []byte(text), 0o600)) }
	// As Kubernetes mounts a secret: keys ─▶ ..data/keys, ..data ─▶ a folder, and swaps
	// ..data.
	mounted := func(t *testing.T) (path string, replace func(string)) {
		dir := t.TempDir()
		n := 0
		replace = func(text string) {
			n++
			version := filepath.Join(dir, "..v"+strings.Repeat("i", n))
			testkit.Must(t, os.Mkdir(version, 0o700))
			overwrite(t, filepath.Join(version, "keys"), text)
			testkit.Must(t, os.Symlink(version, filepath.Join(dir, "..tmp")))
			testkit.Must(t, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
		}
		replace(oneLine)
		path = filepath.Join(dir, "keys")
		testkit.Must(t, os.Symlink(filepath.Join("..data", "keys"), path))
		return path, replace
	}
	for name, prepare := range map[string]func(*testing.T) (string, func(string)){
		"a file that is written anew": func(t *testing.T) (string, func(string)) {
			path := write(t, "keys", []byte(oneLine))
			return path, func(text string) { overwrite(t, path, text) }
		},
		"a file that is replaced": func(t *testing.T) (string, func(string)) {
			path := write(t, "keys", []byte(oneLine))
			return path, func(text string) {
				overwrite(t, path+".new", text)
				testkit.Must(t, os.Rename(path+".new", path))
			}
		},
		"a link that is swapped": mounted,
		"a link to a file elsewhere": func(t *testing.T) (string, func(string)) {
			target := write(t, "target", []byte(oneLine))
			path := filepath.Join(t.TempDir(), "keys")
			testkit.Must(t, os.Symlink(target, path))
			return path, func(text string) {
				overwrite(t, target+".new", text)
				testkit.Must(t, os.Rename(target+".new", target))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, replace := prepare(t)
			g := open(t, auth.Options{PublishKeysFile: path})
			replace(twoLine)
			testkit.Eventually(t, "the new key counts, and the old one no more", func() bool { return valid(g, two) && !valid(g, one) })
			replace("two sha256:oops warehouses=*\n")
			g.Reload() // as on SIGHUP
			if !valid(g, two) {
				t.Error("a file with a mistake took the keys away")
			}
			replace(oneLine)
			testkit.Eventually(t, "the file is looked at after a mistake", func() bool { return valid(g, one) && !valid(g, two) })
		})
	}
}

func TestPublicKeysAreReloaded(t *testing.T) {
	path := write(t, "keys.pem", publicPEM(t, rsaKey))
	g := open(t, auth.Options{Tokens: auth.TokenOptions{PublicKeyFile: path}})
	token := sign(t, ecKey, jwt.SigningMethodES256, jwt.MapClaims{})
	if _, err := g.Token(token, ""); code(err) != wire.CodeUnauthenticated {
		t.Fatalf("a key that is not in the file: %v", err)
	}
	testkit.Must(t, os.WriteFile(path, publicPEM(t, rsaKey, ecKey), 0o600))
	testkit.Eventually(t, "the key that was added verifies", func() bool { _, err := g.Token(token, ""); return err == nil })
}
