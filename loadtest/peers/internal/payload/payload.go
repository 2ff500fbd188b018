// Package payload makes the data of the messages that the benchmark publishes, and recognises it.
//
// The data looks like what a warehouse sends, a JSON object with lines of an order, so that deflate has what it would have
// in earnest. Its last field is the stamp: who published it, as which message, and when it was meant to be sent. All else
// is the same in every message of a run, so each one that arrives is compared byte for byte.
package payload

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// MinBytes is the size of the smallest data.
const MinBytes = len(padHead) + len(stampHead) + stampDigits + len(end)

const (
	linesHead   = `{"lines":[`
	linesEnd    = `],"pad":"`
	padHead     = `{"pad":"`
	stampHead   = `","stamp":"`
	stampDigits = 4 + 8 + 16
	end         = `"}`
)

// A Stamp says which message it is.
type Stamp struct {
	// Stream is a sequence of messages of one publisher into one room.
	Stream uint16
	// Seq counts the messages of the stream: 0, 1, 2 …
	Seq uint32
	// At is when the message was to be sent, in nanoseconds of the generator's clock.
	At uint64
}

// A Template makes data of one size. It is safe for use by several goroutines at once.
type Template struct {
	head []byte // up to the stamp's digits
	size int
}

// New returns the template of data with so many bytes, at least [MinBytes].
func New(size int) (*Template, error) {
	if size < MinBytes {
		return nil, fmt.Errorf("a payload of %d bytes: at least %d are needed for the stamp", size, MinBytes)
	}
	room := size - len(stampHead) - stampDigits - len(end)
	head := filling(room)
	return &Template{head: append(head, stampHead...), size: size}, nil
}

// filling returns the beginning of the data, of so many bytes: as many lines as fit, and padding.
func filling(room int) []byte {
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

// Size returns the size of the data in bytes.
func (t *Template) Size() int { return t.size }

// Append appends the data of a message to dst.
func (t *Template) Append(dst []byte, s Stamp) []byte {
	dst = append(dst, t.head...)
	dst = hex(dst, uint64(s.Stream), 4)
	dst = hex(dst, uint64(s.Seq), 8)
	dst = hex(dst, s.At, 16)
	return append(dst, end...)
}

// Read returns the stamp of data that Append made, and false for anything that differs in a byte.
func (t *Template) Read(data []byte) (Stamp, bool) {
	rest, ok := bytes.CutPrefix(data, t.head)
	if !ok || len(data) != t.size || string(rest[stampDigits:]) != end {
		return Stamp{}, false
	}
	stream, ok1 := unhex(rest[:4])
	seq, ok2 := unhex(rest[4:12])
	at, ok3 := unhex(rest[12:28])
	return Stamp{Stream: uint16(stream), Seq: uint32(seq), At: at}, ok1 && ok2 && ok3
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
