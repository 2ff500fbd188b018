//go:build linux

package epoll

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fds[0]) }) // the other end is the test's
	return fds[0], fds[1]
}

func openPoller(t *testing.T) *Poller {
	t.Helper()
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestPoller(t *testing.T) {
	p := openPoller(t)
	a, b := pair(t)
	if err := p.Add(a, 7); err != nil {
		t.Fatal(err)
	}
	expect := func(what string, want uint32) {
		t.Helper()
		events, err := p.Wait(5 * time.Second)
		if err != nil || len(events) != 1 || events[0].Token != 7 || events[0].Flags&want == 0 {
			t.Fatalf("%s: events %+v, %v", what, events, err)
		}
	}
	expect("new", Writable)
	if events, err := p.Wait(time.Millisecond); err != nil || len(events) != 0 {
		t.Fatalf("nothing happened, and yet there are %+v, %v", events, err)
	}
	if n, err := Write(b, []byte("zone")); n != 4 || err != nil {
		t.Fatalf("wrote %d bytes, %v", n, err)
	}
	expect("written to", Readable)
	buffer := make([]byte, 8)
	if n, err := Read(a, buffer); n != 4 || err != nil || string(buffer[:n]) != "zone" {
		t.Fatalf("read %q, %v", buffer[:n], err)
	}
	if _, err := Read(a, buffer); !errors.Is(err, ErrAgain) {
		t.Fatalf("read of nothing: %v", err)
	}
	if err := unix.Close(b); err != nil {
		t.Fatal(err)
	}
	expect("closed by the other side", Ended)
	if n, err := Read(a, buffer); n != 0 || err != nil {
		t.Fatalf("read of the end: %d bytes, %v", n, err)
	}
}

func TestWriteTakesWhatThereIsRoomFor(t *testing.T) {
	a, b := pair(t)
	defer unix.Close(b)
	big := make([]byte, 1<<20)
	total := 0
	for {
		n, err := Write(a, big)
		if errors.Is(err, ErrAgain) {
			break
		}
		if err != nil || total > 100<<20 {
			t.Fatalf("%d bytes written, %v", total, err)
		}
		total += n
	}
	if total == 0 {
		t.Error("there was never room")
	}
}

func TestDialNobody(t *testing.T) {
	p := openPoller(t)
	fd, err := Dial(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddr("127.1.2.3"))
	if err != nil {
		return // refused at once
	}
	defer unix.Close(fd)
	if err := p.Add(fd, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := Fault(fd); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("fault %v", err)
	}
}
