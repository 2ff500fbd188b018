package auth

import (
	"crypto/sha256"
	"encoding/hex"
)

// Caller tells callers apart whose idempotency keys are different ones: by publish key, by user, or
// by the token's jti, or by the token itself. It is empty for someone who came with nothing.
func (i *Identity) Caller() string {
	switch {
	case i.Key != "":
		return "key " + i.Key
	case i.User != "":
		return "user " + i.User
	case i.TokenID != "":
		return "token " + i.TokenID
	case i.digest != "":
		return "digest " + i.digest
	}
	return ""
}

// setDigest sets the digest of a token that says neither User nor TokenID.
func (i *Identity) setDigest(token string) {
	if i.User == "" && i.TokenID == "" && token != "" {
		sum := sha256.Sum256([]byte(token))
		i.digest = hex.EncodeToString(sum[:16])
	}
}
