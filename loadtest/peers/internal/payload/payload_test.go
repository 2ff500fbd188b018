package payload

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
)

func TestDataHasItsSizeAndComesBack(t *testing.T) {
	for _, size := range []int{MinBytes, MinBytes + 1, 97, 128, 200, 4096, 60_000} {
		template, err := New(size)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []Stamp{{}, {Stream: 7, Seq: 42, At: 1e9}, {math.MaxUint16, math.MaxUint32, math.MaxUint64}} {
			data := template.Append(nil, want)
			if len(data) != size || !json.Valid(data) || bytes.ContainsAny(data, "\n") {
				t.Fatalf("%d bytes instead of %d: %.200s", len(data), size, data)
			}
			var compact bytes.Buffer
			if err := json.Compact(&compact, data); err != nil || compact.Len() != size {
				t.Fatalf("a server that encodes it anew changes it: %v", err)
			}
			if got, ok := template.Read(data); !ok || got != want {
				t.Errorf("%d bytes: read %+v, %v; want %+v", size, got, ok, want)
			}
		}
	}
}

func TestReadRefusesWhatDiffers(t *testing.T) {
	template, err := New(128)
	if err != nil {
		t.Fatal(err)
	}
	good := template.Append(nil, Stamp{Stream: 1, Seq: 2, At: 3})
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x80
		if _, ok := template.Read(bad); ok {
			t.Errorf("byte %d was changed, and nobody saw it", i)
		}
	}
	for _, bad := range [][]byte{nil, good[:127], append(bytes.Clone(good), ' ')} {
		if _, ok := template.Read(bad); ok {
			t.Errorf("%d bytes were taken for 128", len(bad))
		}
	}
}

func TestNewRefusesTooFewBytes(t *testing.T) {
	if _, err := New(MinBytes - 1); err == nil {
		t.Errorf("%d bytes are enough", MinBytes-1)
	}
}

func FuzzRead(f *testing.F) {
	template, err := New(128)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(template.Append(nil, Stamp{Stream: 1, Seq: 2, At: 3}))
	f.Fuzz(func(t *testing.T, p []byte) {
		if s, ok := template.Read(p); ok && !bytes.Equal(template.Append(nil, s), p) {
			t.Errorf("%q was read as %+v, which it is not", p, s)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	template, err := New(128)
	if err != nil {
		b.Fatal(err)
	}
	p := template.Append(nil, Stamp{Stream: 1, Seq: 2, At: 3})
	for b.Loop() {
		template.Read(p)
	}
}
