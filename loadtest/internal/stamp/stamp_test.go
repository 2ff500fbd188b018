package stamp

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

const run = "k3f9x2ab"

func template(t *testing.T, size int) *Template {
	t.Helper()
	tmpl, err := New(run, size)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func TestEverySizeIsJSONAndComesBack(t *testing.T) {
	want := Stamp{Stream: 1<<24 - 2, Seq: 1<<32 - 1, At: 1<<63 + 17}
	for _, size := range []int{MinBytes, MinBytes + 1, 128, 129, 1000, 4096, 65536} {
		tmpl := template(t, size)
		data := tmpl.Append(nil, want)
		if len(data) != size || !json.Valid(data) {
			t.Fatalf("%d bytes instead of %d: %.200s", len(data), size, data)
		}
		if got, ok := tmpl.Read(data); !ok || got != want {
			t.Errorf("%d bytes: %+v, %v", size, got, ok)
		}
		if got, ok := Find(data); !ok || got != want {
			t.Errorf("%d bytes, found: %+v, %v", size, got, ok)
		}
	}
}

func TestADifferentByteIsNoticed(t *testing.T) {
	tmpl := template(t, 256)
	data := tmpl.Append(nil, Stamp{Stream: 3, Seq: 4, At: 5})
	other, err := New("zzzzzzzz", 256)
	if err != nil {
		t.Fatal(err)
	}
	for name, give := range map[string][]byte{
		"a blank more": append([]byte("{ "), data[1:]...), "cut": data[:len(data)-1], "longer": append(bytes.Clone(data), ' '),
		"another filling": bytes.Replace(data, []byte("bin"), []byte("bim"), 1), "no digits": bytes.Replace(data, []byte("0004"), []byte("00x4"), 1),
	} {
		if _, ok := tmpl.Read(give); ok {
			t.Errorf("%s: taken for unharmed", name)
		}
		if !tmpl.FromRun(give) || other.FromRun(give) {
			t.Errorf("%s: not known as one of its run", name)
		}
	}
	if _, ok := other.Read(data); ok {
		t.Error("a message of another run is taken for one of ours")
	}
}

// A damaged digit of the stamp is noticed wherever it is, and not taken for another message.
func TestADamagedDigitIsNoticed(t *testing.T) {
	tmpl := template(t, 128)
	data := tmpl.Append(nil, Stamp{Stream: 3, Seq: 4, At: 5})
	for i := len(data) - len(end) - (Len - RunLen); i < len(data)-len(end); i++ {
		damaged := bytes.Clone(data)
		if damaged[i]++; damaged[i] == '9'+1 || damaged[i] == 'f'+1 {
			damaged[i] = '0'
		}
		if s, ok := tmpl.Read(damaged); ok {
			t.Errorf("digit %d: taken for %+v", i, s)
		}
		if s, ok := Find(damaged); ok {
			t.Errorf("digit %d: found %+v", i, s)
		}
	}
}

func TestSizesAndNamesThatCanNotBe(t *testing.T) {
	for _, size := range []int{0, MinBytes - 1, MaxBytes + 1} {
		if _, err := New(run, size); err == nil {
			t.Errorf("data of %d bytes", size)
		}
	}
	if _, err := New("short", 128); err == nil {
		t.Error("a short name of a run")
	}
	if a, b := NewRun(), NewRun(); a == b || len(a) != RunLen {
		t.Errorf("runs %q and %q", a, b)
	}
}

func TestDataLooksLikeAnOrder(t *testing.T) {
	data := string(template(t, 4096).Append(nil, Stamp{}))
	if n := strings.Count(data, `"sku":`); n < 40 {
		t.Errorf("%d lines in 4 KiB", n)
	}
}

func TestReadDoesNotAllocate(t *testing.T) {
	tmpl := template(t, 128)
	data := tmpl.Append(nil, Stamp{})
	if n := testing.AllocsPerRun(100, func() { tmpl.Read(data) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzRead(f *testing.F) {
	tmpl, err := New(run, 128)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tmpl.Append(nil, Stamp{Stream: 1, Seq: 2, At: 3}))
	f.Fuzz(func(t *testing.T, p []byte) {
		if s, ok := tmpl.Read(p); ok && !bytes.Equal(tmpl.Append(nil, s), p) {
			t.Errorf("%q is taken for %+v", p, s)
		}
		Find(p)
	})
}
