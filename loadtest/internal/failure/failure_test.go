package failure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestKind(t *testing.T) {
	for _, tt := range []struct {
		give error
		want string
	}{
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "connection refused"},
		{fmt.Errorf("read: %w", syscall.ECONNRESET), "connection reset"},
		{syscall.EPIPE, "connection reset"},
		{syscall.EMFILE, "too many open files"},
		{syscall.EADDRNOTAVAIL, "no local port left"},
		{syscall.ENETUNREACH, "no route to the host"},
		{&net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}, "host not found"},
		{context.Canceled, "cancelled"},
		{fmt.Errorf("post: %w", context.DeadlineExceeded), "timeout"},
		{os.ErrDeadlineExceeded, "timeout"},
		{io.ErrUnexpectedEOF, "connection closed"},
		{net.ErrClosed, "connection closed"},
		{NewStatus(503, nil), "HTTP 503"},
		{errors.New("something else"), "failed"},
	} {
		if got := Kind(fmt.Errorf("wrapped: %w", tt.give)); got != tt.want {
			t.Errorf("Kind(%v) = %q, want %q", tt.give, got, tt.want)
		}
	}
}

func TestLogCounts(t *testing.T) {
	l := NewLog()
	l.AddKind("b", "first b")
	l.Add("connect", syscall.ECONNREFUSED)
	l.AddKind("a", "first a")
	l.AddKind("b", "second b")
	want := []Count{
		{"b", 2, "first b"}, {"a", 1, "first a"}, {"connect: connection refused", 1, "connection refused"},
	}
	if got := l.Counts(); !slices.Equal(got, want) || l.Total() != 4 {
		t.Errorf("%d: %+v, want %+v", l.Total(), got, want)
	}
}

func TestLogKeepsFewKinds(t *testing.T) {
	l := NewLog()
	for i := range 3 * MaxKinds {
		l.AddKind(fmt.Sprint(i), "")
	}
	if got := l.Counts(); len(got) != MaxKinds+1 || got[0] != (Count{Other, 2 * MaxKinds, ""}) {
		t.Errorf("%d kinds, the first %+v", len(got), got[0])
	}
}

func TestStatus(t *testing.T) {
	for _, tt := range []struct{ name, give, want string }{
		{"a problem", `{"title":"Bad Request","detail":"event is missing"}`, "the server answered HTTP 400 Bad Request: event is missing"},
		{"a problem without a detail", `{"title":"Not now"}`, "the server answered HTTP 400 Bad Request: Not now"},
		{"a message", `{"message":"Not Found"}`, "the server answered HTTP 400 Bad Request: Not Found"},
		{"other JSON", `{"a":1}`, "the server answered HTTP 400 Bad Request"},
		{"text", "  no such page \n more ", "the server answered HTTP 400 Bad Request: no such page"},
		{"a page", "<html><body>", "the server answered HTTP 400 Bad Request"},
		{"nothing", "", "the server answered HTTP 400 Bad Request"},
		{"no text", "\xff\xfe", "the server answered HTTP 400 Bad Request"},
		{"much text", strings.Repeat("é", 300), "the server answered HTTP 400 Bad Request: " + strings.Repeat("é", 100) + "…"},
	} {
		got := NewStatus(400, []byte(tt.give))
		if got.Error() != tt.want || got.Kind() != "HTTP 400" {
			t.Errorf("%s: %q, %q; want %q", tt.name, got, got.Kind(), tt.want)
		}
	}
}
