package auth

// Caller tells callers apart whose idempotency keys are different ones: by publish key, by user, or
// by the token's jti. It is empty for someone who has none of them.
func (i *Identity) Caller() string {
	switch {
	case i.Key != "":
		return "key " + i.Key
	case i.User != "":
		return "user " + i.User
	case i.TokenID != "":
		return "token " + i.TokenID
	}
	return ""
}
