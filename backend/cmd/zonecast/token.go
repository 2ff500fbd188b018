package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/config"
)

// tokenCommand makes and inspects tokens and keys. Secrets come from the environment or from files.
type tokenCommand struct {
	New  tokenNewCommand  `cmd:"" help:"Make a token for a client, signed with AUTH_TOKEN_SECRET or a private key."`
	Show tokenShowCommand `cmd:"" help:"Decode a token, or find a publish key, and say whether this configuration accepts it, and why not."`
	Key  tokenKeyCommand  `cmd:"" help:"Make a publish key. Its line for PUBLISH_KEYS_FILE goes to standard output, the key to standard error."`
}

// tokenSettings are those of the server that tokens depend on.
type tokenSettings struct {
	AuthTokenSecret string   `env:"AUTH_TOKEN_SECRET" placeholder:"SECRET" help:"Secret that tokens are signed with (HS256)."`
	PublishKeys     []string `env:"PUBLISH_KEYS" placeholder:"KEY,…" help:"Keys that services publish with."`
	config.Auth
}

func (s tokenSettings) config() *config.Config {
	return &config.Config{AuthTokenSecret: s.AuthTokenSecret, PublishKeys: s.PublishKeys, Auth: s.Auth}
}

// tokenClaims are those that each token made here has.
func tokenClaims(c *config.Config, user string, lifetime time.Duration) map[string]any {
	now := time.Now()
	claims := map[string]any{"iat": now.Unix(), "exp": now.Add(lifetime).Unix(), "jti": rand.Text()[:16]}
	for name, value := range map[string]string{"sub": user, "iss": c.AuthIssuer, "aud": c.AuthAudience} {
		if value != "" {
			claims[name] = value
		}
	}
	return claims
}

type tokenNewCommand struct {
	tokenSettings
	User           string        `placeholder:"NAME" help:"Who the token is for (sub)."`
	Warehouse      []string      `placeholder:"NAME[:ZONE],…" help:"Rooms that may be joined: * for all, a warehouse with all of its zones, or one zone. Any number of times."`
	Publish        bool          `help:"May publish to these rooms."`
	PublishTo      []string      `placeholder:"NAME[:ZONE],…" help:"Rooms that may be published to, instead of those that may be joined."`
	Retain         bool          `help:"May publish retained events where it may publish."`
	Acknowledge    bool          `help:"May acknowledge the alerts of the rooms that may be joined."`
	Expires        time.Duration `default:"1h" help:"For how long the token is valid."`
	PrivateKeyFile string        `placeholder:"FILE" help:"Private key (PEM) to sign with, instead of the secret: RS256, ES256 or EdDSA by its type."`
}

// Run is called by kong.
func (c *tokenNewCommand) Run(stdout io.Writer) error {
	claims, err := c.claims()
	if err != nil {
		return &startError{err}
	}
	key, err := c.key()
	if err != nil {
		return &startError{err}
	}
	token, err := auth.Sign(key, claims)
	if err != nil {
		return &startError{err}
	}
	_, err = fmt.Fprintln(stdout, token)
	return err
}

func (c *tokenNewCommand) claims() (map[string]any, error) {
	if c.Expires < time.Second {
		return nil, errors.New("--expires must be at least 1s")
	}
	switch {
	case c.Publish && len(c.PublishTo) > 0:
		return nil, errors.New("--publish and --publish-to don't go together: give one of them")
	case c.Retain && !c.Publish && len(c.PublishTo) == 0:
		return nil, errors.New("--retain has no effect without --publish or --publish-to: give one of them")
	}
	claims := tokenClaims(c.config(), c.User, c.Expires)
	rooms, err := zonesOf("--warehouse", c.Warehouse)
	claims["warehouses"] = rooms
	if c.Publish {
		claims["publish"] = true
	}
	if c.Acknowledge {
		claims["acknowledge"] = true
	}
	if len(c.PublishTo) > 0 && err == nil {
		rooms, err = zonesOf("--publish-to", c.PublishTo)
		claims["publish"] = rooms
	}
	if c.Retain {
		claims["retain"] = rooms
	}
	return claims, err
}

// zonesOf returns the zones of each warehouse that a flag names.
func zonesOf(flag string, scopes []string) (map[string][]string, error) {
	zones := map[string][]string{}
	for _, scope := range scopes {
		warehouse, zone, one := strings.Cut(scope, ":")
		if warehouse == "" || one && zone == "" {
			return nil, fmt.Errorf("%s %q: write *, a warehouse, or warehouse:zone", flag, scope)
		}
		if !one {
			zone = "*"
		}
		zones[warehouse] = append(zones[warehouse], zone)
	}
	return zones, nil
}

// key is what signs.
func (c *tokenNewCommand) key() (any, error) {
	if c.PrivateKeyFile == "" {
		secret := c.config().SigningSecret()
		if secret == "" {
			return nil, errors.New("nothing to sign with: set AUTH_TOKEN_SECRET, or give --private-key-file")
		}
		return []byte(secret), nil
	}
	p, err := os.ReadFile(c.PrivateKeyFile)
	if err != nil {
		return nil, fmt.Errorf("--private-key-file: %w", err)
	}
	key, err := auth.ParsePrivateKey(p)
	if err != nil {
		return nil, fmt.Errorf("--private-key-file %s: %w", c.PrivateKeyFile, err)
	}
	return key, nil
}

type tokenShowCommand struct {
	tokenSettings
	Token string `arg:"" optional:"" help:"The token or key. Without it, it is read from standard input, where nobody sees it in a list of processes."`
}

// Run is called by kong. The error says why the token is refused.
func (c *tokenShowCommand) Run(ctx context.Context, stdout io.Writer) error {
	if c.Token == "" {
		p, err := io.ReadAll(io.LimitReader(os.Stdin, 64<<10))
		if err != nil {
			return fmt.Errorf("read the token: %w", err)
		}
		c.Token = strings.TrimSpace(string(p))
	}
	parts := strings.Split(c.Token, ".")
	isToken := len(parts) > 1 // a key has one part
	if isToken {
		for i, name := range []string{"header", "claims"} {
			fmt.Fprintf(stdout, "%s %s\n", name, decodePart(parts[i]))
		}
	}
	settings := c.config()
	if err := settings.CheckAuth(); err != nil {
		return &startError{err}
	}
	switch {
	case isToken && !settings.NeedsToken():
		return &startError{errors.New("nothing to verify it with: set AUTH_TOKEN_SECRET, AUTH_PUBLIC_KEY_FILE, AUTH_JWKS_URL or AUTH_URL as for the server")}
	case !isToken && !settings.HasPublishKeys():
		return &startError{errors.New("no token, and no keys to find it among: set PUBLISH_KEYS or PUBLISH_KEYS_FILE as for the server")}
	}
	guard, err := auth.Open(ctx, settings.AuthOptions())
	if err != nil {
		return &startError{err}
	}
	defer guard.Close()
	who, err := guard.Key(c.Token)
	switch {
	case isToken:
		who, err = guard.Token(c.Token, "")
	case who == nil && err == nil:
		err = errors.New("this is none of the publish keys")
	}
	if err != nil {
		return fmt.Errorf("refused: %w", err)
	}
	fmt.Fprintln(stdout, "accepted "+who.Permissions())
	return nil
}

// decodePart returns a part of a token as readable JSON, or says that it is none.
func decodePart(part string) string {
	p, err := base64.RawURLEncoding.DecodeString(part)
	var b bytes.Buffer
	if err != nil || json.Indent(&b, p, "", "  ") != nil {
		return "is not JSON in base64url"
	}
	return b.String()
}

type tokenKeyCommand struct {
	Name      string        `required:"" placeholder:"NAME" help:"What logs and errors call the key."`
	Warehouse []string      `required:"" placeholder:"NAME[:ZONE],…" help:"Rooms that may be published to: * for all, a warehouse with all of its zones, or one zone. Any number of times."`
	Event     []string      `placeholder:"EVENT,…" help:"Events that may be published. Default: all."`
	Retain    bool          `help:"May publish retained events."`
	Expires   time.Duration `help:"For how long the key is valid, e.g. 8760h. Default: until its line is removed."`
}

// Run is called by kong.
func (c *tokenKeyCommand) Run(stdout io.Writer, stderr stderrWriter) error {
	k := auth.PublishKey{Name: c.Name, Warehouses: c.Warehouse, Events: c.Event, Retain: c.Retain}
	if c.Expires < 0 {
		return &startError{errors.New("--expires must not be negative")}
	}
	if c.Expires > 0 {
		k.Expires = time.Now().Add(c.Expires)
	}
	key, line, err := auth.NewPublishKey(k)
	if err != nil {
		return &startError{err}
	}
	fmt.Fprintf(stderr, "the key, shown only now: %s\n", key)
	_, err = fmt.Fprintln(stdout, line)
	return err
}

// A stderrWriter is standard error, as kong binds it.
type stderrWriter struct{ io.Writer }
