package broker

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/zonecast/zonecast/backend/wire"
)

// digest stands beside an idempotency key for what was published with it, so that the same key for
// something else is told from a repetition: 128 bits of SHA-256 over event, conflate name, retain
// and data.
func (p *Publication) digest() string {
	h := sha256.New()
	var head []byte
	for _, s := range []string{p.Event, p.Conflate} {
		head = append(binary.AppendUvarint(head, uint64(len(s))), s...)
	}
	retain := byte(0)
	if p.Retain && !p.Implicit {
		retain = 1
	}
	h.Write(append(head, retain))
	if len(p.Data) == 0 {
		h.Write([]byte("null")) // as it is published
	} else {
		h.Write(p.Data)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// scopedKey is the idempotency key as it is kept: of its caller alone, so that nobody else's is
// answered with what the caller published, nor refused for it.
func (p *Publication) scopedKey() string {
	caller := sha256.Sum256([]byte(p.Caller))
	return base64.RawURLEncoding.EncodeToString(caller[:12]) + " " + p.IdempotencyKey
}

func errOtherMessage(first wire.Offset) error {
	return wire.Errorf(wire.CodeIdempotencyConflict, "this idempotency key was used for another message, which has the offset %s: "+
		"give each message a key of its own, and repeat one only with the same event, data, conflate and retain", first)
}
