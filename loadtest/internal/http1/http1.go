// Package http1 reads HTTP/1.1 answers (RFC 9112) from plain slices of bytes, and writes requests,
// for programs that hold tens of thousands of sockets in one loop.
//
//	write(2) ◀── AppendRequest
//	read(2)  ──▶ ParseResponse        a whole answer, with its body
//	read(2)  ──▶ ParseHead ──▶ Body   an answer that goes on for as long as the connection does
//
// Nothing here does input or output.
package http1

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxHead is the longest head of an answer in bytes, MaxBody the longest body of a whole one.
const (
	MaxHead = 16 << 10
	MaxBody = 8 << 20
)

// What can be wrong with an answer.
var (
	ErrHead  = errors.New("not an HTTP/1.1 response")
	ErrLong  = errors.New("the response is too long")
	ErrChunk = errors.New("broken chunk")
)

// A Request is what is asked for.
type Request struct {
	Method, Host, Target string
	Token                string // for Authorization: Bearer, if not empty
	Accept, ContentType  string
	Header               string // further lines, each with its \r\n
	Body                 []byte // of a request that is not GET
}

// AppendRequest appends a request to dst.
func AppendRequest(dst []byte, r *Request) []byte {
	dst = append(append(append(dst, r.Method...), ' '), r.Target...)
	dst = appendField(append(dst, " HTTP/1.1"...), "\r\nHost: ", r.Host)
	dst = append(dst, "\r\nUser-Agent: zonecast-loadtest"...)
	dst = appendField(dst, "\r\nAuthorization: Bearer ", r.Token)
	dst = appendField(dst, "\r\nAccept: ", r.Accept)
	dst = appendField(dst, "\r\nContent-Type: ", r.ContentType)
	if r.Method != "GET" {
		dst = append(dst, "\r\nContent-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(r.Body)), 10)
	}
	dst = append(append(append(dst, "\r\n"...), r.Header...), "\r\n"...)
	return append(dst, r.Body...)
}

func appendField(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return append(append(dst, name...), value...)
}

// A Head is an answer up to its body.
type Head struct {
	Status int
	// Length is the body's, -1 when it is not told.
	Length      int
	Chunked     bool
	Close       bool // the connection ends with this answer
	ContentType string
}

// ParseHead reads the head that p begins with and returns its length: 0 when it is not all there.
func ParseHead(p []byte) (h Head, n int, err error) {
	end := bytes.Index(p, []byte("\r\n\r\n"))
	if end < 0 {
		if len(p) > MaxHead {
			return h, 0, ErrLong
		}
		return h, 0, nil
	}
	if end > MaxHead {
		return h, 0, ErrLong
	}
	line, rest, _ := bytes.Cut(p[:end], []byte("\r\n"))
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) || len(line) < 12 {
		return h, 0, fmt.Errorf("%w: %.40q", ErrHead, line)
	}
	if h.Status, err = strconv.Atoi(string(line[9:12])); err != nil || h.Status < 100 {
		return h, 0, fmt.Errorf("%w: %.40q", ErrHead, line)
	}
	h.Length = -1
	for field := range bytes.SplitSeq(rest, []byte("\r\n")) {
		if err := h.field(field); err != nil {
			return h, 0, err
		}
	}
	if h.Status == 204 || h.Status == 304 || h.Status < 200 {
		h.Length, h.Chunked = 0, false
	}
	return h, end + 4, nil
}

func (h *Head) field(p []byte) error {
	name, value, _ := bytes.Cut(p, []byte(":"))
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.Atoi(string(value))
		if err != nil || n < 0 {
			return fmt.Errorf("%w: Content-Length %.40q", ErrHead, value)
		}
		if n > MaxBody {
			return ErrLong
		}
		h.Length = n
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		h.Chunked = strings.Contains(strings.ToLower(string(value)), "chunked")
	case bytes.EqualFold(name, []byte("Connection")):
		h.Close = strings.Contains(strings.ToLower(string(value)), "close")
	case bytes.EqualFold(name, []byte("Content-Type")):
		h.ContentType = string(value)
	}
	return nil
}

// A Response is a whole answer.
type Response struct {
	Head
	Body []byte
}

// ParseResponse reads the answer that p begins with and says how many bytes it has: 0 when it is
// not all there yet. The body is a part of p, unless it was sent in chunks. ended says that nothing
// follows p. Answers 1xx are passed over.
func ParseResponse(p []byte, ended bool) (r Response, n int, err error) {
	for {
		head, size, err := ParseHead(p[n:])
		if err != nil || size == 0 {
			return r, 0, err
		}
		n += size
		if r.Head = head; r.Status >= 200 || r.Status == 101 {
			break
		}
	}
	rest := p[n:]
	switch {
	case r.Chunked:
		return r.joinChunks(p, n)
	case r.Length >= 0:
		if len(rest) < r.Length {
			return r, 0, nil
		}
		r.Body = rest[:r.Length]
		return r, n + r.Length, nil
	case len(rest) > MaxBody:
		return r, 0, ErrLong
	case ended:
		r.Body, r.Close = rest, true
		return r, len(p), nil
	}
	return r, 0, nil
}

// joinChunks reads the body that begins at p[n], and returns where it ends; 0 without its end.
func (r Response) joinChunks(p []byte, n int) (Response, int, error) {
	for body := (Body{chunked: true}); n < len(p); {
		data, used, err := body.Next(p[n:])
		if err != nil {
			return r, 0, err
		}
		n += used
		if r.Body = append(r.Body, data...); len(r.Body) > MaxBody {
			return r, 0, ErrLong
		}
		if body.Ended() {
			return r, n, nil
		}
	}
	return r, 0, nil
}

// A Body takes the framing off a body, as its bytes come. It keeps no bytes of data.
type Body struct {
	chunked bool
	state   bodyState
	left    int // of the chunk, or of the whole body; -1 until the connection ends
	// The beginning of the line of framing that is under way: longer ones are extensions and
	// trailers, of which nothing is used.
	line   [16]byte
	filled uint8
}

type bodyState uint8

const (
	inSize bodyState = iota
	inData
	afterData // the line's end
	inTrailer
	ended
)

// NewBody returns the body that follows a head.
func NewBody(h Head) Body {
	if h.Chunked {
		return Body{chunked: true}
	}
	if h.Length == 0 {
		return Body{state: ended}
	}
	return Body{state: inData, left: h.Length}
}

// Ended reports whether the whole body was read.
func (b *Body) Ended() bool { return b.state == ended }

// Next returns the next bytes of the body in p, as a part of it, and how much of p was used, at
// least one byte. Data may be empty when there was nothing but framing.
func (b *Body) Next(p []byte) (data []byte, n int, err error) {
	if !b.chunked {
		return b.plain(p)
	}
	for n < len(p) && b.state != ended {
		if b.state == inData {
			take := min(b.left, len(p)-n)
			data = p[n : n+take]
			if b.left -= take; b.left == 0 {
				b.state = afterData
			}
			return data, n + take, nil
		}
		if err := b.frame(p[n]); err != nil {
			return nil, n, err
		}
		n++
	}
	return nil, n, nil
}

func (b *Body) plain(p []byte) ([]byte, int, error) {
	if b.left < 0 {
		return p, len(p), nil
	}
	take := min(b.left, len(p))
	if b.left -= take; b.left == 0 {
		b.state = ended
	}
	return p[:take], max(take, 1), nil
}

// frame takes a byte of framing: lines with a chunk's size, ends of chunks, trailers.
func (b *Body) frame(c byte) error {
	if b.state == afterData && c != '\r' && c != '\n' {
		return fmt.Errorf("%w: %q in place of its end", ErrChunk, c)
	}
	if c != '\n' {
		if int(b.filled) < len(b.line) {
			b.line[b.filled] = c
			b.filled++
		}
		return nil
	}
	line := bytes.TrimSuffix(b.line[:b.filled], []byte("\r"))
	b.filled = 0
	switch b.state {
	case inSize:
		digits, _, _ := bytes.Cut(line, []byte(";"))
		size, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 16, 28) // up to 256 MiB
		if err != nil {
			return fmt.Errorf("%w: its size: %w", ErrChunk, err)
		}
		b.state, b.left = inData, int(size)
		if size == 0 {
			b.state = inTrailer
		}
	case afterData:
		b.state = inSize
	case inTrailer:
		if len(line) == 0 {
			b.state = ended
		}
	}
	return nil
}
