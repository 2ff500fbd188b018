package wsframe

import (
	"bytes"
	"compress/flate"
	"fmt"
	"hash/maphash"
	"io"
)

// cached is how many different messages an Inflater remembers.
const cached = 256

// An Inflater undoes permessage-deflate (RFC 7692) where no context is taken over from one message
// to the next. Members of a room are mostly sent the same bytes, so it remembers the last messages:
// each one costs a look-up, and only the first of its kind is inflated. Not safe for use by several
// goroutines at once.
type Inflater struct {
	seed   maphash.Seed
	known  map[uint64]*inflated
	recent [cached]*inflated // in the order of their arrival, around
	next   int
	reader io.ReadCloser
}

type inflated struct {
	hash    uint64
	in, out []byte
}

// NewInflater returns one that knows nothing yet.
func NewInflater() *Inflater {
	return &Inflater{seed: maphash.MakeSeed(), known: make(map[uint64]*inflated, cached), reader: flate.NewReader(bytes.NewReader(nil))}
}

// DeflateTail ends a message's deflate stream: the sync marker that the sender cut off (RFC 7692
// section 7.2.2), and a last, empty block. It must not be changed.
var DeflateTail = []byte{0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff}

// Inflate returns the message that p is the deflated form of. It must not be changed.
func (i *Inflater) Inflate(p []byte) ([]byte, error) {
	hash := maphash.Bytes(i.seed, p)
	if k, ok := i.known[hash]; ok && bytes.Equal(k.in, p) {
		return k.out, nil
	}
	if err := i.reader.(flate.Resetter).Reset(io.MultiReader(bytes.NewReader(p), bytes.NewReader(DeflateTail)), nil); err != nil {
		return nil, fmt.Errorf("inflate: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(i.reader, MaxPayload+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("inflate: %w", err)
	case len(out) > MaxPayload:
		return nil, fmt.Errorf("inflate: %w", ErrTooLong)
	}
	i.remember(&inflated{hash: hash, in: bytes.Clone(p), out: out})
	return out, nil
}

func (i *Inflater) remember(k *inflated) {
	if old := i.recent[i.next]; old != nil && i.known[old.hash] == old {
		delete(i.known, old.hash)
	}
	i.recent[i.next] = k
	i.known[k.hash] = k
	i.next = (i.next + 1) % cached
}
