package stack

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

func TestHeldPortCanBeListenedOnAgainAndAgain(t *testing.T) {
	p, err := holdPort(0)
	testkit.Must(t, err)
	defer p.release()
	for range 3 {
		listener, err := net.Listen("tcp", p.address())
		testkit.Must(t, err)
		conn, err := net.Dial("tcp", p.address())
		testkit.Must(t, err)
		accepted, err := listener.Accept()
		testkit.Must(t, err)
		// Closed by the server's side first, as by a process that is killed: its end of the
		// connection lingers in TIME_WAIT.
		listener.Close()
		accepted.Close()
		conn.Close()
	}
}

// The ports that were asked for are those of each stack, and one that is taken is said.
func TestPortsAreTheSameAtEachStart(t *testing.T) {
	free, err := holdPort(0)
	testkit.Must(t, err)
	testkit.Must(t, free.release())
	options := played("instance", Options{Instances: 1, FirstPort: free.number, LogDir: t.TempDir()})
	for range 2 {
		s, err := Start(t.Context(), options)
		testkit.Must(t, err)
		if s.Instances[0].Address != free.address() {
			t.Errorf("the instance is at %s, want %s", s.Instances[0].Address, free.address())
		}
		if second, err := Start(t.Context(), options); err == nil || !strings.Contains(err.Error(), "end what uses it, or choose other ports") {
			t.Errorf("on a port that is taken: %v, %v", second, err)
		}
		testkit.Must(t, s.Close())
		if _, err := os.Stat(filepath.Join(options.LogDir, "backend-1.log")); err != nil {
			t.Errorf("the log is not kept: %v", err)
		}
	}
}

func TestHeldPortGoesToNobodyElse(t *testing.T) {
	p, err := holdPort(0)
	testkit.Must(t, err)
	defer p.release()
	// More listeners at a time than leave it to chance whether a free port would be met.
	for range 2000 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		testkit.Must(t, err)
		defer listener.Close()
		if listener.Addr().String() == p.address() {
			t.Fatalf("%s was given away", p.address())
		}
	}
}
