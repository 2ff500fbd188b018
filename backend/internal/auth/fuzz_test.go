package auth

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// FuzzPublishKeysFile: a file is refused as a whole, or each of its keys has a name of its own and
// a scope; a file that is refused leaves the keys from before.
func FuzzPublishKeysFile(f *testing.F) {
	const hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	f.Add("a " + hash + " warehouses=w1,w2:z events=ALERT retain expires=2027-11-28T08:00:00Z\n# b\n\nb " + hash + " warehouses=*")
	f.Add("a " + hash + " warehouses=:z,\na " + hash)
	f.Add("\x00 sha256: expires==")
	f.Fuzz(func(t *testing.T, text string) {
		k := newPublishKeys(nil)
		if err := k.use([]byte(text)); err != nil {
			if k.file.Load() != nil {
				t.Errorf("%v, and some keys are in force", err)
			}
			return
		}
		names := map[string]bool{}
		for _, key := range *k.file.Load() {
			if _, err := wire.NewRoom(key.Name, ""); err != nil || names[key.Name] || key.identity.publish.isEmpty() || key.identity.Key == "" {
				t.Errorf("%+v came from %q", key, text)
			}
			names[key.Name] = true
			if key.Retain == key.identity.retain.isEmpty() {
				t.Errorf("key %s: retain is %v, and permits %v", key.Name, key.Retain, key.identity.retain)
			}
		}
	})
}

// FuzzCallbackAnswer: whatever the application of AUTH_URL answers is refused, or is somebody whose
// name and permissions are within bounds, and who has an end if it says so.
func FuzzCallbackAnswer(f *testing.F) {
	f.Add(`{"sub":"u","exp":4102444800,"warehouses":{"w":["a"]},"publish":true,"retain":["w"]}`)
	f.Add(`{"sub":null,"exp":-1,"warehouses":[["*"]],"aud":{}}`)
	f.Add(`{"warehouses":{"*":["*"],"w":[]},"jti":"\ud800"}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, answer string) {
		var said claims
		if said.UnmarshalJSON([]byte(answer)) != nil {
			return
		}
		who, err := said.identity(TokenOptions{}, time.Now())
		if err != nil {
			return
		}
		if len(who.User) > maxSubjectBytes || len(who.TokenID) > maxTokenIDBytes {
			t.Errorf("a user of %d bytes, a token of %d", len(who.User), len(who.TokenID))
		}
		if said.expires != nil && who.Until().IsZero() {
			t.Errorf("%q never expires", answer)
		}
		if !strings.Contains(answer, "warehouses") && !strings.Contains(answer, `\u`) && who.MayJoin(wire.Room{Warehouse: "w"}) == nil {
			t.Errorf("%q permits rooms", answer)
		}
		_ = who.Permissions()
	})
}

// FuzzJWKS: whatever an issuer serves as its keys, none of them verifies a token with an algorithm
// other than that of its own type, and none is a secret.
func FuzzJWKS(f *testing.F) {
	f.Add(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`, "one", "EdDSA")
	f.Add(`{"keys":[{"kty":"oct","kid":"one","alg":"HS256","k":"AAAA"}]}`, "one", "HS256")
	f.Add(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-384","x":"","y":""},null]}`, "", "RS256")
	f.Fuzz(func(t *testing.T, document, kid, algorithm string) {
		method := jwt.GetSigningMethod(algorithm)
		var set jwkset.JWKSMarshal
		if method == nil || json.Unmarshal([]byte(document), &set) != nil {
			return
		}
		store, err := set.ToStorage()
		if err != nil {
			return
		}
		k := &issuerKeys{Storage: store}
		found, err := keyfunc.New(keyfunc.Options{Ctx: t.Context(), Storage: store, UseWhitelist: []jwkset.USE{jwkset.UseSig, ""}})
		testkit.Must(t, err)
		k.find = found.Keyfunc
		token := &jwt.Token{Method: method, Header: map[string]any{"alg": algorithm}}
		if kid != "" {
			token.Header["kid"] = kid
		}
		keys, err := k.key(token)
		if err != nil {
			return
		}
		for _, key := range keys.(jwt.VerificationKeySet).Keys {
			if of, err := algorithmOf(key); err != nil || of != algorithm || strings.HasPrefix(algorithm, "HS") || algorithm == "none" {
				t.Errorf("%T of %q would verify %s", key, document, algorithm)
			}
		}
	})
}
