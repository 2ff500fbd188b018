package wsframe

import (
	"strings"
	"testing"
)

func TestHandshake(t *testing.T) {
	request := AppendRequest(nil, "127.0.0.1:1", "/ws", "secret", true)
	got, n, err := ParseRequest(append(request, "rest"...))
	if err != nil || got != key || n != len(request) {
		t.Fatalf("key %q, %d of %d bytes, %v", got, n, len(request), err)
	}
	response := AppendResponse(nil, got)
	deflate, n, err := ParseResponse(append(response, "rest"...))
	if err != nil || deflate || n != len(response) {
		t.Fatalf("deflate %v, %d of %d bytes, %v", deflate, n, len(response), err)
	}
	for cut := range response {
		if _, n, err := ParseResponse(response[:cut]); n != 0 || err != nil {
			t.Fatalf("%d bytes of %d: took %d, %v", cut, len(response), n, err)
		}
	}
}

// The example of RFC 6455, section 1.3.
func TestAccept(t *testing.T) {
	if got, want := accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; got != want {
		t.Errorf("accept is %q, want %q", got, want)
	}
}

func TestParseResponse(t *testing.T) {
	head := "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: " + accept(key) + "\r\n"
	for _, tt := range []struct {
		name, give  string
		wantDeflate bool
		wantErr     string
	}{
		{"names in any case", head + "\r\n", false, ""},
		{"deflate", head + "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n\r\n", true, ""},
		{"deflate with a context", head + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", false, "context"},
		{"refused", "HTTP/1.1 429 Too Many Requests\r\n\r\n", false, "429"},
		{"another handshake's answer", "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n", false, "another handshake"},
		{"no end", strings.Repeat("x", MaxHandshake), false, "without end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			deflate, n, err := ParseResponse([]byte(tt.give))
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v does not say %q", err, tt.wantErr)
				}
				return
			}
			if err != nil || n != len(tt.give) || deflate != tt.wantDeflate {
				t.Errorf("deflate %v, %d bytes, %v", deflate, n, err)
			}
		})
	}
}

func FuzzParseResponse(f *testing.F) {
	f.Add(AppendResponse(nil, key))
	f.Add([]byte("HTTP/1.1 200 OK\r\n:\r\n\r\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if _, n, err := ParseResponse(p); n > len(p) || err != nil && n != 0 {
			t.Errorf("took %d of %d bytes, %v", n, len(p), err)
		}
	})
}
