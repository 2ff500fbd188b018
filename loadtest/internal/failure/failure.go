// Package failure counts what went wrong during a run, by kind.
//
//	member, publisher ──▶ Log.Add      from any goroutine
//	report            ◀── Log.Counts
package failure

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// MaxKinds is how many kinds a Log tells apart; the others are counted as [Other].
const MaxKinds = 50

// Other is the kind of failures beyond MaxKinds.
const Other = "other"

// A Log counts failures. It is safe for use by several goroutines at once.
type Log struct {
	mu    sync.Mutex
	kinds map[string]*Count
	total uint64
}

// A Count is how often a kind of failure was seen, with the text of the first.
type Count struct {
	Kind  string `json:"kind"`
	Count uint64 `json:"count"`
	First string `json:"first"`
}

// NewLog returns an empty log.
func NewLog() *Log { return &Log{kinds: map[string]*Count{}} }

// Add counts a failure while doing something, like "publish" or "connect".
func (l *Log) Add(doing string, err error) { l.AddKind(doing+": "+Kind(err), err.Error()) }

// AddKind counts a failure of a kind.
func (l *Log) AddKind(kind, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds[kind] == nil && len(l.kinds) >= MaxKinds {
		kind = Other
	}
	c := l.kinds[kind]
	if c == nil {
		c = &Count{Kind: kind, First: text}
		l.kinds[kind] = c
	}
	c.Count++
	l.total++
}

// Total returns how many failures there were.
func (l *Log) Total() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Counts returns the kinds, the most frequent first.
func (l *Log) Counts() []Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	return sorted(l.kinds)
}

// Merge puts several logs' counts of a kind together, the most frequent first.
func Merge(counts []Count) []Count {
	kinds := map[string]*Count{}
	for _, c := range counts {
		if kinds[c.Kind] == nil {
			kinds[c.Kind] = &Count{Kind: c.Kind, First: c.First}
		}
		kinds[c.Kind].Count += c.Count
	}
	return sorted(kinds)
}

func sorted(kinds map[string]*Count) []Count {
	counts := make([]Count, 0, len(kinds))
	for _, c := range kinds {
		counts = append(counts, *c)
	}
	slices.SortFunc(counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Kind, b.Kind))
	})
	return counts
}

// New returns an error that names its own kind.
func New(kind, text string) error { return kindError{kind, text} }

type kindError struct{ kind, text string }

func (e kindError) Error() string { return e.text }
func (e kindError) Kind() string  { return e.kind }

// Kind returns a few words for an error, the same for all errors with the same cause: what its Kind
// method says if one in its chain has one, or the name of the network's failure.
func Kind(err error) string {
	var kinder interface{ Kind() string }
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &kinder):
		return kinder.Kind()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "too many open files"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "no local port left"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the host"
	case errors.As(err, &dns):
		return "host not found"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "connection closed"
	}
	return "failed"
}
