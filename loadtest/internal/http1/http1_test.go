package http1

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestParseResponse(t *testing.T) {
	for _, tt := range []struct {
		name, give string
		ended      bool
		status     int
		body       string
		rest       string
		close      bool
	}{
		{name: "with a length", give: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP", status: 200, body: "hello", rest: "HTTP"},
		{name: "in chunks", give: "HTTP/1.1 503 Away\r\ntransfer-encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n7\r\n, world\r\n0\r\nA: b\r\n\r\nmore",
			status: 503, body: "hello, world", rest: "more"},
		{name: "until the end", give: "HTTP/1.1 404 Not Found\r\n\r\ngone", ended: true, status: 404, body: "gone", close: true},
		{name: "without a body", give: "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", status: 204, close: true},
		{name: "after 100", give: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", status: 200, body: "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			whole := len(tt.give) - len(tt.rest)
			for cut := range whole { // the end of an answer must be known, not guessed
				if _, n, err := ParseResponse([]byte(tt.give[:cut]), false); n != 0 || err != nil {
					t.Fatalf("of %d bytes: %d, %v", cut, n, err)
				}
			}
			r, n, err := ParseResponse([]byte(tt.give), tt.ended)
			if err != nil || n != whole || r.Status != tt.status || string(r.Body) != tt.body || r.Close != tt.close {
				t.Errorf("%d bytes, %d %q, close %v, %v", n, r.Status, r.Body, r.Close, err)
			}
		})
	}
}

func TestBrokenAnswers(t *testing.T) {
	for give, want := range map[string]error{
		"SSH-2.0-OpenSSH\r\n\r\n":                                            ErrHead,
		"HTTP/1.1 2x0 OK\r\n\r\n":                                            ErrHead,
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n":                      ErrHead,
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n":             ErrLong,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n":         ErrChunk,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy":       ErrChunk,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n": ErrChunk,
		strings.Repeat("x", MaxHead+1):                                       ErrLong,
	} {
		if _, _, err := ParseResponse([]byte(give), false); !errors.Is(err, want) {
			t.Errorf("%.60q: %v, want %v", give, err, want)
		}
	}
}

func TestAppendRequest(t *testing.T) {
	got := AppendRequest(nil, &Request{Method: "POST", Host: "h:1", Target: "/t?a=b", Token: "k", ContentType: "application/json", Body: []byte("{}")})
	const want = "POST /t?a=b HTTP/1.1\r\nHost: h:1\r\nUser-Agent: zonecast-loadtest\r\nAuthorization: Bearer k\r\n" +
		"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	if string(got) != want {
		t.Errorf("%q", got)
	}
	got = AppendRequest(nil, &Request{Method: "GET", Host: "h", Target: "/"})
	if bytes.Contains(got, []byte("Content-Length")) {
		t.Errorf("a GET with a length: %q", got)
	}
}

// A stream gives the same bytes however it is cut, and never more than there are.
func FuzzBody(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), 3)
	f.Add([]byte("a;b\r\n0123456789\r\n0\r\nx: y\r\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, p []byte, step int) {
		read := func(step int) (out []byte, failed bool) {
			b := NewBody(Head{Chunked: true})
			for at := 0; at < len(p) && !b.Ended(); {
				data, n, err := b.Next(p[at:min(at+step, len(p))])
				if err != nil {
					return out, true
				}
				if n == 0 || n > len(p)-at {
					t.Fatalf("%d bytes used of %d", n, len(p)-at)
				}
				out = append(out, data...)
				at += n
			}
			return out, false
		}
		whole, failed := read(len(p) + 1)
		pieces, failedToo := read(max(1, min(step, len(p)+1)))
		if failed != failedToo || !failed && !bytes.Equal(whole, pieces) {
			t.Errorf("%q and %q", whole, pieces)
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if r, n, err := ParseResponse(bytes.Clone(p), true); n > len(p) || err == nil && len(r.Body) > len(p) {
			t.Errorf("%d bytes and a body of %d from %d", n, len(r.Body), len(p))
		}
	})
}
