// Package bus signs what instances tell one another through Redis, and checks what comes from
// there.
//
//	broker, cluster ── Seal ──▶ "s1:publisher.n.ms.mac payload" ──▶ Redis
//	broker, cluster ◀── payload, or a Refusal ── Open ◀── Redis
//
// A signature is an HMAC-SHA256 (RFC 2104) with a key that only the instances have. It covers where
// the payload was said (its subject: a room, a question), who said it, when, and as the
// how-manieth. So what somebody else writes, moves to another room, or repeats is refused. Without
// a key nothing is signed, and everybody who may publish in this Redis is believed.
//
// What is refused on the way of live messages is not lost: a room that misses an offset reads it
// from the stream. Keys, streams among them, are not signed: Redis's ACL protects them.
package bus

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Kind is what is said, and the label of the metric.
type Kind string

// The kinds.
const (
	Message      Kind = "message"      // a published message, live
	Stored       Kind = "stored"       // a message read from a stream or among the retained; not signed
	Announcement Kind = "announcement" // what an instance says about itself
	Question     Kind = "question"     // also a command: disconnect, ban
	Answer       Kind = "answer"
	Overload     Kind = "overload" // a room that is overloaded
	Audit        Kind = "audit"    // an entry of the audit log, kept in Redis
)

// A Refusal is why something from the bus was not believed. It is an error and the label of the
// metric.
type Refusal string

// The reasons.
const (
	Unsigned  Refusal = "unsigned"  // a key is set, and there is no signature
	Forged    Refusal = "forged"    // signed with another key, changed, or moved
	Expired   Refusal = "expired"   // too old, or from the future: the clocks of instances differ
	Replayed  Refusal = "replayed"  // had already, or said before this process began
	Malformed Refusal = "malformed" // signed or not, it is nothing that an instance would say
)

func (r Refusal) Error() string {
	switch r {
	case Unsigned:
		return "not signed: does the other instance have the same CLUSTER_SECRET?"
	case Forged:
		return "its signature is wrong: do all instances have the same CLUSTER_SECRET?"
	case Expired:
		return "signed at another time: do the clocks of the instances agree?"
	case Replayed:
		return "said before"
	}
	return "malformed"
}

const (
	// Validity is how far the time of a signature may be from now: transport and differing clocks.
	Validity = 30 * time.Second
	// prefix begins each signature. Neither JSON nor a message begins so.
	prefix = "s1:"
	// replayWindow is how many numbers below a publisher's highest are told apart; what is further
	// behind counts as had. At 20,000 messages a second of one instance it is 3 s.
	replayWindow = 1 << 16
	// maxPublishers bounds the windows that are kept, 8 KiB each.
	maxPublishers = 1024
	// maxSignature bounds the bytes of a signature: prefix, publisher, two numbers, MAC.
	maxSignature = 128
	// maxScratch bounds the bytes of scratch space that are kept from one signature to the next.
	maxScratch = 128 << 10
)

var encoding = base64.RawURLEncoding

// A Signer signs for one process and checks what others signed. A nil Signer has no key: it signs
// nothing and believes everything. It is safe for concurrent use.
type Signer struct {
	// Static after construction.
	id      string
	keys    []*sync.Pool // of *mac; the first signs
	started time.Time
	now     func() time.Time

	last atomic.Uint64 // number of the last signature

	mu      sync.Mutex
	windows map[publisher]*window
}

// A publisher numbers what it says of each kind.
type publisher struct {
	id   string
	kind Kind
}

// New returns a signer that signs with the first secret and accepts all of them; nil without any.
func New(secrets []string) *Signer {
	if len(secrets) == 0 {
		return nil
	}
	s := &Signer{id: rand.Text()[:12], now: time.Now, windows: map[publisher]*window{}}
	s.started = s.now()
	for _, secret := range secrets {
		s.keys = append(s.keys, &sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, []byte(secret))} }})
	}
	return s
}

// Sign returns the signature of a payload that is said about a subject; empty without a key.
func (s *Signer) Sign(kind Kind, subject string, payload ...string) string {
	if s == nil {
		return ""
	}
	head := make([]byte, 0, maxSignature)
	head = append(append(head, prefix...), s.id...)
	head = strconv.AppendUint(append(head, '.'), s.last.Add(1), 10)
	head = strconv.AppendInt(append(head, '.'), s.now().UnixMilli(), 10)
	sum := sum(s.keys[0], kind, subject, string(head), payload)
	return string(encoding.AppendEncode(append(head, '.'), sum[:]))
}

// A mac is reused, with its scratch space.
type mac struct {
	hash.Hash
	parts []byte
}

// sum is the MAC of parts whose lengths are part of it, so that none can move into the next.
func sum(key *sync.Pool, kind Kind, subject, head string, payload []string) (sum [sha256.Size]byte) {
	m := key.Get().(*mac)
	defer key.Put(m)
	m.parts = m.parts[:0]
	for _, part := range [...]string{string(kind), subject, head} {
		m.parts = append(binary.BigEndian.AppendUint64(m.parts, uint64(len(part))), part...)
	}
	for _, part := range payload {
		m.parts = append(binary.BigEndian.AppendUint64(m.parts, uint64(len(part))), part...)
	}
	m.Reset()
	m.Write(m.parts)
	m.Hash.Sum(sum[:0])
	if cap(m.parts) > maxScratch {
		m.parts = nil
	}
	return sum
}

// Verify reports whether an instance said this payload about the subject, lately and, unless it is
// an announcement (which stands until the next one) for the first time. The error is a [Refusal].
func (s *Signer) Verify(signature string, kind Kind, subject string, payload ...string) error {
	if s == nil {
		return nil
	}
	parts, err := s.authentic(signature, kind, subject, payload)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(parts[1], 10, 64)
	ms, err2 := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || err2 != nil {
		return Malformed
	}
	said, now := time.UnixMilli(ms), s.now()
	switch {
	case said.Before(now.Add(-Validity)) || said.After(now.Add(Validity)):
		return Expired
	case kind == Announcement:
		return nil
	case said.Before(s.started.Truncate(time.Millisecond)):
		return Replayed // this process can't know whether an earlier one had it
	}
	return s.remember(publisher{parts[0], kind}, n, now)
}

// authentic returns the parts of a signature, whenever it was made: publisher, number, time. The
// error is a [Refusal].
func (s *Signer) authentic(signature string, kind Kind, subject string, payload []string) (parts []string, _ error) {
	if signature == "" {
		return nil, Unsigned
	}
	head, text := signature, ""
	if i := strings.LastIndexByte(signature, '.'); i >= 0 {
		head, text = signature[:i], signature[i+1:]
	}
	given, err := encoding.DecodeString(text)
	rest, ok := strings.CutPrefix(head, prefix)
	parts = strings.Split(rest, ".")
	if err != nil || !ok || len(signature) > maxSignature || len(parts) != 3 {
		return nil, Malformed
	}
	if !s.signedByUs(given, kind, subject, head, payload) {
		return nil, Forged
	}
	return parts, nil
}

func (s *Signer) signedByUs(given []byte, kind Kind, subject, head string, payload []string) bool {
	for _, key := range s.keys {
		if sum := sum(key, kind, subject, head, payload); hmac.Equal(given, sum[:]) {
			return true
		}
	}
	return false
}

// remember notes a number of a publisher, unless it was had.
func (s *Signer) remember(who publisher, n uint64, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.windows[who]
	if w == nil {
		s.forget(now)
		if len(s.windows) >= maxPublishers {
			return Replayed // what can't be remembered can't be told from a repetition
		}
		w = new(window)
		s.windows[who] = w
	}
	w.used = now
	if !w.add(n) {
		return Replayed
	}
	return nil
}

// forget gives up the windows of publishers whose last words have expired.
func (s *Signer) forget(now time.Time) {
	for who, w := range s.windows {
		if now.Sub(w.used) > 2*Validity {
			delete(s.windows, who)
		}
	}
}

// A window tells which numbers of one publisher were had (RFC 4303 section 3.4.3).
type window struct {
	highest uint64
	used    time.Time
	had     [replayWindow / 64]uint64 // a bit for each of the last numbers
}

// add notes a number and reports whether it is new.
func (w *window) add(n uint64) bool {
	if n > w.highest {
		if n-w.highest >= replayWindow {
			clear(w.had[:])
		} else {
			for skipped := w.highest + 1; skipped < n; skipped++ {
				w.had[skipped/64%uint64(len(w.had))] &^= 1 << (skipped % 64)
			}
		}
		w.highest = n
	} else if w.highest-n >= replayWindow || w.had[n/64%uint64(len(w.had))]>>(n%64)&1 == 1 {
		return false
	}
	w.had[n/64%uint64(len(w.had))] |= 1 << (n % 64)
	return true
}

// Seal puts the signature before the payload.
func (s *Signer) Seal(kind Kind, subject, payload string) string {
	if s == nil {
		return payload
	}
	return s.Sign(kind, subject, payload) + " " + payload
}

// Open takes the payload out of what was sealed, and verifies it. A payload of at most so many
// bytes is accepted. Without a key the signature is left out unread, so that instances with and
// without one work together while keys are rolled out.
func (s *Signer) Open(kind Kind, subject, sealed string, most int) (payload string, _ error) {
	signature, payload, err := unseal(sealed, most)
	if err != nil {
		return "", err
	}
	return payload, s.Verify(signature, kind, subject, payload)
}

// OpenStored is Open for what is kept in Redis: an instance may have said it at any time, and it
// may be read again.
func (s *Signer) OpenStored(kind Kind, subject, sealed string, most int) (payload string, _ error) {
	signature, payload, err := unseal(sealed, most)
	if err == nil && s != nil {
		_, err = s.authentic(signature, kind, subject, []string{payload})
	}
	return payload, err
}

func unseal(sealed string, most int) (signature, payload string, _ error) {
	if len(sealed) > most+maxSignature {
		return "", "", Malformed
	}
	if payload = sealed; strings.HasPrefix(sealed, prefix) {
		signature, payload, _ = strings.Cut(sealed, " ")
	}
	return signature, payload, nil
}
