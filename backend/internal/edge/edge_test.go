package edge_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/edge"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// A server accepts on a free port of this machine.
type server struct {
	*edge.Listener
	accepted chan net.Conn

	mu      sync.Mutex
	refused map[string]int
}

func start(t *testing.T, o edge.Options) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	return startOn(t, l, o)
}

func startOn(t *testing.T, l net.Listener, o edge.Options) *server {
	t.Helper()
	s := &server{accepted: make(chan net.Conn, 100), refused: map[string]int{}}
	o.Refused = func(reason string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refused[reason]++
	}
	s.Listener = edge.Listen(l, o)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := s.Accept()
			if err != nil {
				return
			}
			s.accepted <- c
		}
	}()
	return s
}

func (s *server) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial(s.Addr().Network(), s.Addr().String())
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close() })
	testkit.Must(t, c.SetDeadline(time.Now().Add(testkit.Patience)))
	return c
}

// wantReset fails unless a further connection is reset, which may be before dialing returns.
func (s *server) wantReset(t *testing.T) {
	t.Helper()
	c, err := net.Dial(s.Addr().Network(), s.Addr().String())
	if err == nil {
		defer c.Close()
		testkit.Must(t, c.SetDeadline(time.Now().Add(testkit.Patience)))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("one too many: %v, want a reset", err)
	}
}

func (s *server) count(reason string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused[reason]
}

func TestConnectionsOfAnAddressAreBoundedFromAcceptToClose(t *testing.T) {
	s := start(t, edge.Options{ConnectionsPerAddress: 2})
	s.dial(t)
	s.dial(t)
	first := <-s.accepted
	<-s.accepted
	s.wantReset(t)
	testkit.Eventually(t, "it is counted", func() bool { return s.count("tcp_address_limit") == 1 })
	testkit.Must(t, first.Close())
	s.dial(t)
	<-s.accepted
	first.Close() // again: it was counted out already
	if n := s.Open(); n != 2 {
		t.Errorf("%d are open, want 2", n)
	}
}

func TestConnectionsAreBoundedInTotalButAFewOfThisMachine(t *testing.T) {
	s := start(t, edge.Options{Connections: 3})
	const reserve = 32
	for range 3 + reserve {
		s.dial(t)
		<-s.accepted
	}
	s.wantReset(t)
	testkit.Eventually(t, "it is counted", func() bool { return s.count("tcp_limit") == 1 })
}

// Connections over a Unix socket count as those over TCP do, and keep what a Unix connection can
// do.
func TestConnectionsOverAUnixSocketAreBoundedInTotal(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "http.sock"))
	testkit.Must(t, err)
	s := startOn(t, l, edge.Options{Connections: 3, ConnectionsPerAddress: 1})
	const all = 3 + 32 // a few of this machine
	var first net.Conn
	for range all {
		s.dial(t)
		first = <-s.accepted
	}
	if n, err := s.dial(t).Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one too many: %v, want its end", err)
	}
	testkit.Eventually(t, "it is counted", func() bool { return s.count("tcp_limit") == 1 })
	if n := s.Open(); n != all {
		t.Errorf("%d are open, want %d", n, all)
	}
	if _, ok := first.(interface {
		syscall.Conn
		CloseWrite() error
	}); !ok || first.RemoteAddr().String() != "127.0.0.1:0" {
		t.Errorf("%T of %v", first, first.RemoteAddr())
	}
	testkit.Must(t, first.Close())
	_ = first.Close() // again: it was counted out already
	if n := s.Open(); n != all-1 {
		t.Errorf("%d are open, want %d", n, all-1)
	}
	s.dial(t)
	<-s.accepted
}

// A proxy stands for many clients.
func TestTheAddressOfATrustedProxyIsNotBounded(t *testing.T) {
	_, loopback, err := net.ParseCIDR("127.0.0.0/8")
	testkit.Must(t, err)
	s := start(t, edge.Options{ConnectionsPerAddress: 1, Proxies: []*net.IPNet{loopback}})
	for range 10 {
		s.dial(t)
		(<-s.accepted).Close()
	}
}

// What a client is sent before the end of its connection, it gets: it is only dropped when the
// client does not take it.
func TestClosedConnectionsGiveWhatWasWrittenTimeToArrive(t *testing.T) {
	s := start(t, edge.Options{SendBufferBytes: 128 << 10})
	for _, reads := range []bool{true, false} {
		client := s.dial(t)
		conn := <-s.accepted
		written := 0
		testkit.Must(t, conn.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
		for err := error(nil); err == nil; {
			var n int
			n, err = conn.Write(make([]byte, 16<<10))
			written += n
		}
		testkit.Must(t, conn.Close())
		if !reads {
			continue // it is looked at below
		}
		got := 0
		for buf := make([]byte, 64<<10); ; {
			n, err := client.Read(buf)
			if got += n; err != nil {
				break
			}
		}
		if got != written {
			t.Errorf("%d bytes of %d arrived", got, written)
		}
	}
	testkit.Eventually(t, "nothing is left of either", func() bool { return s.Open() == 0 })
}
