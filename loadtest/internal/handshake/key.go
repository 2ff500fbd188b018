package handshake

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// The length of a key in bytes. Who saw a proof can try it against words, so a word is no key.
const (
	MinKey = 16
	MaxKey = 1024
)

// A Key is the secret of a coordinator and its workers, or none if empty. It prints as a mark only.
type Key struct{ secret string }

// Set reports whether there is a key.
func (k Key) Set() bool { return k.secret != "" }

func (k Key) String() string {
	if k.Set() {
		return "(a secret)"
	}
	return "(none)"
}

func (k Key) GoString() string { return k.String() }

// ReadKey reads a key as a setting gives it: the key itself, or @FILE for one that stands in a
// file. Nothing is no key. Errors don't quote what was given.
func ReadKey(setting string) (Key, error) {
	secret := setting
	if path, ok := strings.CutPrefix(setting, "@"); ok {
		var err error
		if secret, err = readFile(path); err != nil {
			return Key{}, err
		}
		if secret == "" {
			return Key{}, fmt.Errorf("the file %s is empty: write the key into it, like that of: openssl rand -hex 32", path)
		}
	}
	secret = strings.TrimSpace(secret)
	switch {
	case secret == "" && setting != "":
		return Key{}, errors.New("it has nothing but spaces: give a key, like that of: openssl rand -hex 32")
	case secret != "" && len(secret) < MinKey, len(secret) > MaxKey:
		return Key{}, fmt.Errorf("it has %d characters: give a key of %d to %d, like that of: openssl rand -hex 32", len(secret), MinKey, MaxKey)
	}
	return Key{secret: secret}, nil
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, MaxKey+3)) // with the end of a line behind it, and one more that tells that it is too long
	return strings.TrimSpace(string(p)), err
}
