package stack

import (
	"net"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

func TestHeldPortCanBeListenedOnAgainAndAgain(t *testing.T) {
	p, err := holdPort()
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

func TestHeldPortGoesToNobodyElse(t *testing.T) {
	p, err := holdPort()
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
