package wsframe

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"strings"
)

// MaxHandshake is the longest handshake in bytes that is taken.
const MaxHandshake = 8 << 10

// guid is what section 1.3 adds to the key.
const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// key is the nonce of every connection. It keeps caching proxies from answering, and there is none
// between a load tester and its server.
var key = base64.StdEncoding.EncodeToString([]byte("zonecast-peers-1"))

// AppendRequest appends a client's handshake to dst. The token is shown if it is not empty.
func AppendRequest(dst []byte, host, path, token string, deflate bool) []byte {
	dst = fmt.Appendf(dst, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nUser-Agent: zonecast\r\nSec-WebSocket-Key: %s\r\n", path, host, key)
	if token != "" {
		dst = fmt.Appendf(dst, "Authorization: Bearer %s\r\n", token)
	}
	if deflate {
		dst = append(dst, "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// AppendResponse appends a server's answer to the handshake with this key, without extensions.
func AppendResponse(dst []byte, key string) []byte {
	return fmt.Appendf(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\n\r\n", accept(key))
}

func accept(key string) string {
	sum := sha1.Sum([]byte(key + guid))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// ParseRequest reads a client's handshake, which p begins with, and says how many bytes it has: 0
// when it is not all there yet.
func ParseRequest(p []byte) (key string, n int, err error) {
	head, n, err := cut(p)
	if n == 0 || err != nil {
		return "", 0, err
	}
	key = field(head, "Sec-WebSocket-Key")
	if key == "" {
		return "", 0, fmt.Errorf("not a WebSocket handshake: %.40q", head)
	}
	return key, n, nil
}

// ParseResponse reads the server's answer to [AppendRequest], which p begins with, and says how
// many bytes it has: 0 when it is not all there yet.
func ParseResponse(p []byte) (deflate bool, n int, err error) {
	head, n, err := cut(p)
	if n == 0 || err != nil {
		return false, 0, err
	}
	status, _, _ := strings.Cut(head, "\r\n")
	if !strings.HasPrefix(status, "HTTP/1.1 101 ") {
		return false, 0, fmt.Errorf("the server did not switch to WebSocket: %.60q", status)
	}
	if got := field(head, "Sec-WebSocket-Accept"); got != accept(key) {
		return false, 0, fmt.Errorf("the server answered another handshake: Sec-WebSocket-Accept %q", got)
	}
	extensions := field(head, "Sec-WebSocket-Extensions")
	deflate = strings.HasPrefix(extensions, "permessage-deflate")
	if deflate && !strings.Contains(extensions, "server_no_context_takeover") {
		return false, 0, fmt.Errorf("the server would keep the context between messages, which is not supported: %q", extensions)
	}
	return deflate, n, nil
}

// cut returns the lines of the handshake that p begins with.
func cut(p []byte) (head string, n int, err error) {
	end := bytes.Index(p, []byte("\r\n\r\n"))
	switch {
	case end >= 0:
		return string(p[:end+2]), end + 4, nil
	case len(p) >= MaxHandshake:
		return "", 0, fmt.Errorf("a handshake without end: %.60q", p)
	}
	return "", 0, nil
}

// field returns the value of a header field, "" if it is absent.
func field(head, name string) string {
	for line := range strings.SplitSeq(head, "\r\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(k, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
