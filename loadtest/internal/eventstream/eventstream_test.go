package eventstream

import (
	"strings"
	"testing"
)

func TestNext(t *testing.T) {
	const give = ": hello\nretry: 2000\n\n" +
		"event: connected\ndata: {\"a\":1}\nid: r@e-1\n\n" +
		"data:one\r\ndata: two\r\n\r\n" +
		"id\ndata: x\n\n" + "data: unfinished"
	want := []Event{{}, {Name: []byte("connected"), Data: []byte(`{"a":1}`), ID: []byte("r@e-1"), HasID: true},
		{Data: []byte("one\ntwo")}, {Data: []byte("x"), HasID: true}}
	rest := []byte(give)
	for i, w := range want {
		e, n := Next(rest)
		if n == 0 || string(e.Name) != string(w.Name) || string(e.Data) != string(w.Data) || string(e.ID) != string(w.ID) || e.HasID != w.HasID {
			t.Fatalf("event %d: %d bytes, %+v", i, n, e)
		}
		for cut := range n {
			if _, m := Next(rest[:cut]); m != 0 {
				t.Fatalf("event %d: %d of %d bytes were enough", i, cut, n)
			}
		}
		rest = rest[n:]
	}
	if _, n := Next(rest); n != 0 {
		t.Errorf("an event without an end has %d bytes", n)
	}
	if give[len(give)-len(rest):] != "data: unfinished" || !strings.HasSuffix(give, string(rest)) {
		t.Errorf("what was read was changed: %q", rest)
	}
}

func FuzzNext(f *testing.F) {
	f.Add([]byte("event: a\ndata: b\nid: c\n\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		before := string(p)
		if _, n := Next(p); n > len(p) || string(p) != before {
			t.Errorf("%d of %d bytes, %q became %q", n, len(p), before, p)
		}
	})
}
