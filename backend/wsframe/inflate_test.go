package wsframe

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"testing"
)

// deflater is used again and again: a new one takes a megabyte.
var deflater, _ = flate.NewWriter(nil, flate.BestSpeed)

// deflate is what a server does with a message (RFC 7692, section 7.2.1).
func deflate(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	deflater.Reset(&b)
	_, err := deflater.Write(p)
	if err = errors.Join(err, deflater.Flush()); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

func TestInflate(t *testing.T) {
	i := NewInflater()
	for round := range 2 {
		for n := range 2 * cached { // more than are remembered
			want := bytes.Repeat(fmt.Append(nil, "message ", n), 100)
			got, err := i.Inflate(deflate(t, want))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("round %d, message %d: %d bytes of %d, %v", round, n, len(got), len(want), err)
			}
		}
	}
	if len(i.known) != cached {
		t.Errorf("%d messages are remembered, want %d", len(i.known), cached)
	}
}

func TestInflateRemembers(t *testing.T) {
	i := NewInflater()
	p := deflate(t, bytes.Repeat([]byte("zone"), 1000))
	if _, err := i.Inflate(p); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = i.Inflate(p) }); n != 0 {
		t.Errorf("%v allocations for a message that is known", n)
	}
}

func TestInflateRefuses(t *testing.T) {
	i := NewInflater()
	if _, err := i.Inflate([]byte("\xff\xff\xff not deflate")); err == nil {
		t.Error("garbage was inflated")
	}
	if _, err := i.Inflate(deflate(t, make([]byte, MaxPayload+1))); !errors.Is(err, ErrTooLong) {
		t.Errorf("a bomb: %v", err)
	}
	want := []byte("still good")
	if got, err := i.Inflate(deflate(t, want)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("after that: %q, %v", got, err)
	}
}

func FuzzInflate(f *testing.F) {
	f.Add(deflate(f, []byte("hello hello hello")))
	f.Add([]byte{})
	i := NewInflater()
	f.Fuzz(func(t *testing.T, p []byte) {
		first, err := i.Inflate(p)
		if len(first) > MaxPayload {
			t.Fatalf("%d bytes", len(first))
		}
		second, again := i.Inflate(p)
		if (err == nil) != (again == nil) || !bytes.Equal(first, second) {
			t.Fatalf("the second time it is something else: %v, %v", err, again)
		}
	})
}
