package failure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// A Status is the error of an HTTP response with an unexpected status. Its detail is read from an
// application/problem+json body (RFC 9457), or whatever else the server sent.
type Status struct {
	Code   int
	Detail string // the server's own words; empty when it had none
}

// NewStatus returns the error for a response with this code and body.
func NewStatus(code int, body []byte) *Status { return &Status{Code: code, Detail: detail(body)} }

func (s *Status) Error() string {
	text := fmt.Sprintf("the server answered HTTP %d %s", s.Code, http.StatusText(s.Code))
	if s.Detail != "" {
		text += ": " + s.Detail
	}
	return text
}

func (s *Status) Kind() string { return fmt.Sprintf("HTTP %d", s.Code) }

// detail returns one line of a body: the detail or the title of a problem, the message of Echo's
// own errors, or the first line of a text.
func detail(body []byte) string {
	var p struct{ Detail, Title, Message string }
	if json.Unmarshal(body, &p) == nil {
		for _, s := range []string{p.Detail, p.Title, p.Message} {
			if s != "" {
				return s
			}
		}
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if line = strings.TrimSpace(line); strings.HasPrefix(line, "<") || !utf8.ValidString(line) {
		return "" // a page for a browser, or no text at all
	}
	const most = 200
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "…"
	}
	return line
}
