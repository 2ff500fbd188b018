// Package stamp makes the data of a run's messages, and recognises it when a server sends it.
//
//	publisher ──▶ Template.Append  {"lines":[…],"pad":"…","stamp":"k3f9x2ab…"}: the data of a message
//	member    ──▶ Template.Read    which message it is, if it is byte for byte what was sent
//
// The data looks like what a warehouse sends, a JSON object with lines of an order, so that deflate
// has what it would have in earnest. Its last field is the stamp: which run, which message of which
// stream, when it was meant to be sent, and a checksum of these. All else is the same in every
// message of a run, so each one that arrives is compared byte for byte.
package stamp

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
)

// Event is the name of the events that the load tester publishes. No screen gives it a meaning.
const Event = "LOADTEST"

// MinBytes is the size of the smallest data in bytes, MaxBytes that of the largest.
const (
	MinBytes = len(padHead) + len(stampHead) + Len + len(end)
	MaxBytes = 1 << 20
)

// RunLen is how many characters the name of a run has, Len how many a stamp has.
const (
	RunLen = 8
	Len    = RunLen + streamDigits + seqDigits + atDigits + sumDigits
)

const (
	linesHead    = `{"lines":[`
	linesEnd     = `],"pad":"`
	padHead      = `{"pad":"`
	stampHead    = `","stamp":"`
	streamDigits = 6
	seqDigits    = 8
	atDigits     = 16
	sumDigits    = 8
	end          = `"}`
)

// Echo is the stream of echoes: each goes to one connection and back, and its number is counted
// over all of them. Probe is that of what is sent before a run, to see whether it can work.
const (
	Echo  = 1<<(4*streamDigits) - 1
	Probe = Echo - 1
)

// NewRun returns a name for a run that no other one is likely to have.
func NewRun() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	p := make([]byte, RunLen)
	for i := range p {
		p[i] = alphabet[rand.IntN(len(alphabet))]
	}
	return string(p)
}

// A Stamp says which message it is.
type Stamp struct {
	// Stream is a sequence of messages of one publisher into one room.
	Stream uint32
	// Seq counts the messages of the stream: 0, 1, 2 …
	Seq uint32
	// At is when the message was to be sent, in nanoseconds of the load tester's clock.
	At uint64
}

// A Template makes data of one size for one run. It is safe for use by several goroutines at once.
type Template struct {
	head []byte // up to the stamp's digits, the run's name included
	size int
}

// New returns the template of a run, [RunLen] letters and digits, for data of [MinBytes] or more.
func New(run string, size int) (*Template, error) {
	switch {
	case len(run) != RunLen:
		return nil, fmt.Errorf("a run's name has %d characters, not %d: %q", RunLen, len(run), run)
	case size < MinBytes || size > MaxBytes:
		return nil, fmt.Errorf("data of %d bytes: %d to %d are possible, for it carries the run and the number of the message",
			size, MinBytes, MaxBytes)
	}
	head := append(filler(size-len(stampHead)-Len-len(end)), stampHead...)
	return &Template{head: append(head, run...), size: size}, nil
}

// filler returns the beginning of the data, of so many bytes: as many lines as fit, and padding.
func filler(room int) []byte {
	rng := rand.New(rand.NewPCG(2, uint64(room)))
	p := []byte(linesHead)
	lines := 0
	for {
		l := line(rng)
		if len(p)+len(l)+1+len(linesEnd) > room {
			break
		}
		if lines++; lines > 1 {
			p = append(p, ',')
		}
		p = append(p, l...)
	}
	p = append(p, linesEnd...)
	if lines == 0 {
		p = []byte(padHead)
	}
	for len(p) < room {
		p = strconv.AppendInt(p, rng.Int64N(10), 10)
	}
	return p
}

func line(rng *rand.Rand) string {
	units := [...]string{"case", "pallet", "piece", "tote"}
	return fmt.Sprintf(`{"bin":"%c-%02d-%02d","sku":%d,"quantity":%d,"unit":%q}`,
		'A'+rng.IntN(6), rng.IntN(40), rng.IntN(8), 4000000000000+rng.Int64N(1e11), 1+rng.IntN(48), units[rng.IntN(len(units))])
}

// Append appends the data of a message to dst.
func (t *Template) Append(dst []byte, s Stamp) []byte {
	dst = append(dst, t.head...)
	from := len(dst) - RunLen
	dst = hex(dst, uint64(s.Stream), streamDigits)
	dst = hex(dst, uint64(s.Seq), seqDigits)
	dst = hex(dst, s.At, atDigits)
	dst = hex(dst, uint64(crc32.Checksum(dst[from:], castagnoli)), sumDigits)
	return append(dst, end...)
}

// Read returns the stamp of data that Append made, and false for anything that differs in a byte.
func (t *Template) Read(data []byte) (Stamp, bool) {
	rest, ok := bytes.CutPrefix(data, t.head)
	if !ok || len(data) != t.size || string(rest[Len-RunLen:]) != end {
		return Stamp{}, false
	}
	return parse(data[len(t.head)-RunLen:][:Len])
}

// FromRun reports whether data that Read does not take was made from a message of the run.
func (t *Template) FromRun(data []byte) bool {
	return bytes.Contains(data, t.head[len(t.head)-RunLen:])
}

// Find returns the stamp in data of any run and size.
func Find(data []byte) (Stamp, bool) {
	i := bytes.LastIndex(data, []byte(stampHead))
	if i < 0 || len(data) < i+len(stampHead)+Len {
		return Stamp{}, false
	}
	return parse(data[i+len(stampHead):][:Len])
}

// castagnoli is a checksum that processors compute (RFC 3720 section 12.1).
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parse reads a stamp, and false where its checksum is not that of the rest.
func parse(p []byte) (Stamp, bool) {
	sum, ok := unhex(p[Len-sumDigits:])
	if !ok || uint32(sum) != crc32.Checksum(p[:Len-sumDigits], castagnoli) {
		return Stamp{}, false
	}
	p = p[RunLen : Len-sumDigits]
	stream, ok1 := unhex(p[:streamDigits])
	seq, ok2 := unhex(p[streamDigits:][:seqDigits])
	at, ok3 := unhex(p[streamDigits+seqDigits:])
	return Stamp{Stream: uint32(stream), Seq: uint32(seq), At: at}, ok1 && ok2 && ok3
}

const digits = "0123456789abcdef"

func hex(dst []byte, n uint64, width int) []byte {
	for shift := 4 * (width - 1); shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&0xf])
	}
	return dst
}

func unhex(p []byte) (n uint64, ok bool) {
	for _, c := range p {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		n = n<<4 | uint64(c)
	}
	return n, true
}
