package auth

// Caller tells callers apart whose idempotency keys are different ones: by user, or by publish key.
// It is empty for someone anonymous.
func (i *Identity) Caller() string {
	switch {
	case i.Key != "":
		return "key " + i.Key
	case i.User != "":
		return "user " + i.User
	}
	return ""
}
