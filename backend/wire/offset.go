package wire

import (
	"strconv"
	"strings"
)

// MaxEpochLen is the most characters that an epoch may have.
const MaxEpochLen = 32

// An Offset is the place of a message in its room: "{epoch}-{n}". Within one epoch n counts 1, 2, 3
// … without holes. N = 0 stands before the first message. The zero Offset means "no offset
// known".
type Offset struct {
	Epoch string
	N     uint64
}

// ParseOffset reads the text form. The error is an *[Error] with [CodeInvalidOffset].
func ParseOffset(s string) (Offset, error) {
	epoch, digits, ok := strings.Cut(s, "-")
	if !ok || !validEpoch(epoch) {
		return Offset{}, errOffset(s)
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || digits != strconv.FormatUint(n, 10) {
		return Offset{}, errOffset(s)
	}
	return Offset{Epoch: epoch, N: n}, nil
}

func errOffset(s string) error {
	return Errorf(CodeInvalidOffset, "%s is not an offset: send one back as you received it, like \"k3f9-17\"", quote(s))
}

func validEpoch(s string) bool {
	if s == "" || len(s) > MaxEpochLen {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// String returns the text form, or "" for the zero Offset.
func (o Offset) String() string {
	if o.IsZero() {
		return ""
	}
	return string(o.append(make([]byte, 0, len(o.Epoch)+21)))
}

func (o Offset) append(dst []byte) []byte {
	dst = append(dst, o.Epoch...)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, o.N, 10)
}

// IsZero reports whether no offset is known.
func (o Offset) IsZero() bool { return o.Epoch == "" }

// Next returns the offset that follows o in its epoch.
func (o Offset) Next() Offset { return Offset{Epoch: o.Epoch, N: o.N + 1} }
