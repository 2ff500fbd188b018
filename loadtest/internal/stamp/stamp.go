// Package stamp marks the messages of a run and recognises them again when a server sends them.
//
//	publisher ──▶ Stamp.Append    {"run":"k3f9x2ab","seq":17,"pad":"…"}: the data of message 17
//	member    ──▶ Reader.Read     a frame as it came from the socket ──▶ what it is, and which message
//
// A run receives millions of frames, nearly all of one known form. Reader compares that form byte by byte, which costs
// tens of nanoseconds; every other frame goes through [wire.DecodeServer].
package stamp

import (
	"bytes"
	"math/rand/v2"
	"strconv"
)

// Event is the name of the events that the load tester publishes. No screen gives it a meaning.
const Event = "LOADTEST"

// MinBytes is the least that the data of a message can have, MaxBytes the most.
const (
	MinBytes = len(`{"run":"`) + RunLen + len(`","seq":`) + maxDigits + len(`,"pad":""}`)
	MaxBytes = 1 << 20
)

// RunLen is how many characters the name of a run has.
const RunLen = 8

const maxDigits = len("4294967295")

// NewRun returns a name for a run that no other one is likely to have.
func NewRun() string { return string(letters(rand.Uint64(), RunLen)) }

// A Stamp makes the data of one run's messages. All of them have the same length. It is safe for use by several
// goroutines at once.
type Stamp struct {
	head []byte // up to the sequence number
	tail []byte // from behind a sequence number of one digit; a longer number takes as much from its padding
}

// New returns the stamp of a run whose messages have size bytes of data, between [MinBytes] and [MaxBytes]. The run is a
// name of [RunLen] letters and digits.
func New(run string, size int) *Stamp {
	s := &Stamp{head: []byte(`{"run":"` + run + `","seq":`)}
	pad := letters(uint64(size), size-len(s.head)-1-len(`,"pad":""}`))
	s.tail = append(append([]byte(padHead), pad...), `"}`...)
	return s
}

const padHead = `,"pad":"`

// Append appends the data of message seq to dst.
func (s *Stamp) Append(dst []byte, seq uint32) []byte {
	dst = append(dst, s.head...)
	before := len(dst)
	dst = strconv.AppendUint(dst, uint64(seq), 10)
	digits := len(dst) - before
	dst = append(dst, padHead...)
	return append(dst, s.tail[len(padHead)+digits-1:]...)
}

// Seq returns the sequence number of data that Append made, and false for anything that differs in a byte.
func (s *Stamp) Seq(data []byte) (uint32, bool) {
	rest, ok := bytes.CutPrefix(data, s.head)
	if !ok {
		return 0, false
	}
	n, rest, ok := number(rest)
	if !ok || n > 1<<32-1 {
		return 0, false
	}
	digits := len(data) - len(s.head) - len(rest)
	rest, ok = bytes.CutPrefix(rest, []byte(padHead))
	return uint32(n), ok && bytes.Equal(rest, s.tail[len(padHead)+digits-1:])
}

// number reads the decimal number that p begins with, as strconv would write it and of at most 18 digits,
// which any 64-bit integer holds.
func number(p []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for i < len(p) && p[i] >= '0' && p[i] <= '9' {
		n = n*10 + uint64(p[i]-'0')
		i++
	}
	if i == 0 || i > 18 || (p[0] == '0' && i > 1) {
		return 0, p, false
	}
	return n, p[i:], true
}

// letters returns n letters and digits that hardly compress, the same for the same seed.
func letters(seed uint64, n int) []byte {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	rng := rand.New(rand.NewPCG(seed, 0))
	p := make([]byte, n)
	for i := range p {
		p[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return p
}
