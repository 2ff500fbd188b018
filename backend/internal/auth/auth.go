// Package auth decides who may do what: clients by token, services by token or key. Operators
// are package operator's.
//
//	transport    ── Client, Token ──▶ Guard ── verifier (secrets, public keys, JWKS), or callback (AUTH_URL)
//	api          ── Service ────────▶ Guard ── publishKeys, or a token
//	                                   └─▶ Revocations ──▶ Identity ── MayJoin, MayPublish, MayRetain
//
// What is not set is not asked for: without a way to verify tokens every client is welcome, without
// keys either every service. The configuration refuses that on an address which others can reach.
package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/internal/filewatch"
	"github.com/zonecast/zonecast/backend/wire"
)

// Subprotocol is what a WebSocket client offers beside its token, and what the server answers with
// (RFC 6455 section 1.9).
const Subprotocol = "zonecast"

// Options of a [Guard]. What is empty is not asked for.
type Options struct {
	// TokenSecret is the key of the tokens' signatures: HS256, RFC 7518 section 3.2. It comes
	// before those of Tokens.
	TokenSecret string
	Tokens      TokenOptions
	Callback    CallbackOptions
	// PublishKeys are those of services that may publish anything.
	PublishKeys []string
	// PublishKeysFile has a line for each key that is named and scoped.
	PublishKeysFile string
	// Log is told what happens in the background.
	Log *slog.Logger
	// OnReload is told when a file was taken over again, or why it could not be; nil for nobody.
	OnReload func(setting string, err error)
}

// A Guard answers for the whole server. Its methods may be called by several goroutines.
type Guard struct {
	tokens   *verifier // nil without any key
	callback *callback // nil without a URL
	keys     *publishKeys
	files    []*filewatch.File
	revoked  Revocations
	anyone   *Identity // who comes without a token, when none is needed
	needsKey bool      // to publish
	stop     context.CancelFunc
}

func (o *Options) setDefaults() {
	if o.TokenSecret != "" {
		o.Tokens.Secrets = append([]string{o.TokenSecret}, o.Tokens.Secrets...)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// New returns a guard of the secrets and keys in o. Those of files and of an issuer need [Open].
func New(o Options) *Guard {
	o.setDefaults()
	g := &Guard{
		tokens: newVerifier(o.Tokens, nil, nil), keys: newPublishKeys(o.PublishKeys), stop: func() {},
		anyone: &Identity{anonymous: true, join: everything}}
	if o.Callback.URL != "" {
		g.callback = newCallback(o.Callback, o.Log)
	}
	keyed := len(o.PublishKeys) > 0 || o.PublishKeysFile != ""
	if !keyed {
		g.anyone.publish, g.anyone.retain = everything, everything
	}
	g.needsKey = keyed || g.needsToken()
	return g
}

// Open returns a guard that also has the keys of files and of an issuer, for whom it waits. It
// watches them until ctx ends or it is closed. The error says which setting to change.
func Open(ctx context.Context, o Options) (*Guard, error) {
	ctx, stop := context.WithCancel(ctx)
	g := New(o)
	o.setDefaults()
	if err := g.open(ctx, o); err != nil {
		stop()
		return nil, err
	}
	var running sync.WaitGroup
	for _, f := range g.files {
		running.Go(func() { f.Run(ctx) })
	}
	g.stop = func() { stop(); running.Wait() }
	return g, nil
}

// CheckFiles finds what is wrong with the files of keys. The error says which setting names them.
func (o Options) CheckFiles() error {
	var errs []error
	for _, f := range []struct {
		setting, path string
		use           func([]byte) error
	}{
		{"PUBLISH_KEYS_FILE", o.PublishKeysFile, new(publishKeys).use},
		{"AUTH_PUBLIC_KEY_FILE", o.Tokens.PublicKeyFile, new(publicKeys).use},
	} {
		if f.path != "" {
			_, err := filewatch.Open(filewatch.Options{Setting: f.setting, Path: f.path, Use: f.use, Log: slog.New(slog.DiscardHandler)})
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (g *Guard) open(ctx context.Context, o Options) error {
	file := func(setting, path string, use func([]byte) error) error {
		f, err := filewatch.Open(filewatch.Options{Setting: setting, Path: path, Use: use, Log: o.Log, OnReload: o.OnReload})
		if err == nil {
			g.files = append(g.files, f)
		}
		return err
	}
	var errs []error
	var public *publicKeys
	var issuer *issuerKeys
	if o.PublishKeysFile != "" {
		errs = append(errs, file("PUBLISH_KEYS_FILE", o.PublishKeysFile, g.keys.use))
	}
	if o.Tokens.PublicKeyFile != "" {
		public = new(publicKeys)
		errs = append(errs, file("AUTH_PUBLIC_KEY_FILE", o.Tokens.PublicKeyFile, public.use))
	}
	if o.Tokens.JWKSURL != "" && errors.Join(errs...) == nil {
		var err error
		issuer, err = openIssuer(ctx, o.Tokens.JWKSURL, o.Log)
		errs = append(errs, err)
	}
	g.tokens = newVerifier(o.Tokens, public, issuer)
	g.needsKey = g.needsKey || g.needsToken()
	return errors.Join(errs...)
}

// Reload reads the files of keys again, as when they change.
func (g *Guard) Reload() {
	for _, f := range g.files {
		f.Reload()
	}
}

// SetSecrets puts other secrets of tokens in force. Who is connected stays so, as long as the token
// says. It has no effect where none were set at first.
func (g *Guard) SetSecrets(all []string) {
	if g.tokens != nil {
		g.tokens.setSecrets(all)
	}
}

// SetPublishKeys puts other PUBLISH_KEYS in force. It has no effect on whether a key is needed.
func (g *Guard) SetPublishKeys(all []string) { g.keys.set(all) }

// Close stops watching.
func (g *Guard) Close() { g.stop() }

// Revocations are those that this guard goes by.
func (g *Guard) Revocations() *Revocations { return &g.revoked }

func (g *Guard) needsToken() bool { return g.tokens != nil || g.callback != nil }

// A Visit is what is known of a request beside its token: AUTH_URL is told.
type Visit struct {
	Address string
	Rooms   []wire.Room // that are asked for
}

// Client returns who connects, or sends a frame by POST. The error is a *wire.Error of
// wire.CodeUnauthenticated; with AUTH_URL also of wire.CodeForbidden or wire.CodeUnavailable.
func (g *Guard) Client(r *http.Request, visit Visit) (*Identity, error) {
	return g.identify(newQuestion(r, tokenOf(r), visit))
}

// newQuestion is what the application is asked about the token of a request.
func newQuestion(r *http.Request, token string, visit Visit) question {
	q := question{Token: token, Address: visit.Address, Origin: r.Header.Get("Origin"), UserAgent: r.UserAgent(), Rooms: []string{}}
	for _, room := range visit.Rooms {
		q.Rooms = append(q.Rooms, room.String())
	}
	return q
}

// Token returns whose token this is, which came from this address: that of a renewal. Without a
// secret any token, and none, is someone anonymous. The errors are those of Client.
func (g *Guard) Token(token, address string) (*Identity, error) {
	return g.identify(question{Token: token, Address: address, Rooms: []string{}})
}

func (g *Guard) identify(q question) (who *Identity, err error) {
	switch {
	case !g.needsToken():
		return g.anyone, nil
	case len(q.Token) > maxTokenBytes:
		return nil, wire.Errorf(wire.CodeUnauthenticated, "the token has more than %d bytes", maxTokenBytes)
	case g.callback != nil:
		who, err = g.callback.identify(q)
	case q.Token == "":
		return nil, wire.Errorf(wire.CodeUnauthenticated,
			"a token is needed: in the header Authorization: Bearer, in ?token=, or among the WebSocket subprotocols")
	default:
		who, err = g.tokens.verify(q.Token)
	}
	if err == nil {
		err = g.Recheck(who)
	}
	if err != nil {
		return nil, err
	}
	return who, nil
}

// Recheck returns an error when someone who was let in has been revoked since: a *wire.Error of
// wire.CodeUnauthenticated.
func (g *Guard) Recheck(who *Identity) error {
	if g.revoked.Matches(who) {
		return ErrRevoked
	}
	return nil
}

// ErrRevoked is why someone whose token was revoked is refused.
var ErrRevoked = wire.Errorf(wire.CodeUnauthenticated, "the token was revoked: get a new one")

// tokenOf finds the token of a request; empty for none.
func tokenOf(r *http.Request) string {
	if t, ok := bearer(r); ok {
		return t
	}
	if t := r.URL.Query().Get("token"); t != "" {
		return t
	}
	for _, p := range Offered(r) {
		if p != Subprotocol {
			return p
		}
	}
	return ""
}

// bearer reads RFC 6750 section 2.1.
func bearer(r *http.Request) (string, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// Offered returns the subprotocols that a WebSocket client offers.
func Offered(r *http.Request) []string {
	var all []string
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if p = strings.TrimSpace(p); p != "" {
				all = append(all, p)
			}
		}
	}
	return all
}

// ServiceNeedsKey tells whether publishing over HTTP needs a key or a token.
func (g *Guard) ServiceNeedsKey() bool { return g.needsKey }

// Key returns whose publish key this is; nil if it is none. The error, that it has expired, is a
// *wire.Error of wire.CodeUnauthenticated.
func (g *Guard) Key(given string) (*Identity, error) {
	key := g.keys.find(given)
	switch {
	case key == nil:
		return nil, nil
	case !key.Expires.IsZero() && time.Now().After(key.Expires):
		return nil, wire.Errorf(wire.CodeUnauthenticated, "the key %s has expired: get a new one", key.Name)
	}
	return &key.identity, nil
}

// Service returns who calls the publish API: the holder of a key, or of a token that permits
// publishing. The errors are those of Client.
func (g *Guard) Service(r *http.Request, visit Visit) (*Identity, error) {
	if !g.needsKey {
		return g.anyone, nil
	}
	given, _ := bearer(r)
	if key, err := g.Key(given); key != nil || err != nil {
		return key, err
	}
	if !g.needsToken() || given == "" {
		return nil, wire.Errorf(wire.CodeUnauthenticated, "send the header Authorization: Bearer with a key or a token that may publish")
	}
	who, err := g.identify(newQuestion(r, given, visit))
	if e := wire.AsError(err); err != nil && g.anyone.publish == nil && e.Code == wire.CodeUnauthenticated {
		return nil, wire.Errorf(e.Code, "this is none of the keys that may publish, and as a token: %v", err)
	}
	return who, err
}
