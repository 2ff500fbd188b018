//go:build linux

package client

import (
	"strings"
	"testing"
)

func TestNextEvent(t *testing.T) {
	const give = ": hello\nretry: 2000\n\n" +
		"event: connected\ndata: {\"a\":1}\nid: r@e-1\n\n" +
		"data:one\r\ndata: two\r\n\r\n" +
		"id\ndata: x\n\n" + "data: unfinished"
	want := []sseEvent{{}, {name: []byte("connected"), data: []byte(`{"a":1}`)}, {data: []byte("one\ntwo")}, {data: []byte("x")}}
	rest := []byte(give)
	for i, w := range want {
		e, n := nextEvent(rest)
		if n == 0 || string(e.name) != string(w.name) || string(e.data) != string(w.data) {
			t.Fatalf("event %d: %d bytes, %+v", i, n, e)
		}
		for cut := range n {
			if _, m := nextEvent(rest[:cut]); m != 0 {
				t.Fatalf("event %d: %d of %d bytes were enough", i, cut, n)
			}
		}
		rest = rest[n:]
	}
	if _, n := nextEvent(rest); n != 0 {
		t.Errorf("an event without an end has %d bytes", n)
	}
	if give[len(give)-len(rest):] != "data: unfinished" || !strings.HasSuffix(give, string(rest)) {
		t.Errorf("what was read was changed: %q", rest)
	}
}

func FuzzNextEvent(f *testing.F) {
	f.Add([]byte("event: a\ndata: b\nid: c\n\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		before := string(p)
		if _, n := nextEvent(p); n > len(p) || string(p) != before {
			t.Errorf("%d of %d bytes, %q became %q", n, len(p), before, p)
		}
	})
}
