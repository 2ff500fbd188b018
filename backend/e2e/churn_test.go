package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wsframe"
)

// However many come and go, nothing of them stays: no goroutine, no descriptor, no memory.
func TestComingAndGoingLeavesNothing(t *testing.T) {
	const times, warmUp, atOnce = 50_000, 4_000, 64
	i := alone(t, map[string]string{"GOGC": "50", "CANARY_INTERVAL": "0s"}).Instances[0]
	churn(t, i.Address, warmUp, atOnce) // what the runtime keeps for good is there now
	settled := func() (goroutines, descriptors, heap float64) {
		testkit.Succeeds(t, "all are gone", func() error {
			if n := metric(t, i.URL, `zonecast_connections{transport="websocket"}`); n != 0 {
				return fmt.Errorf("%v are connected", n)
			}
			return nil
		})
		return metric(t, i.URL, "go_goroutines"), metric(t, i.URL, "process_open_fds"), metric(t, i.URL, "go_memstats_heap_inuse_bytes")
	}
	goroutines, descriptors, heap := settled()
	churn(t, i.Address, times, atOnce)
	testkit.Succeeds(t, "everything is as it was", func() error {
		g, d, h := settled()
		if g > goroutines+5 || d > descriptors+5 || h > heap+3<<20 {
			return fmt.Errorf("after %d visits %v goroutines, %v descriptors and %v bytes of heap; before them %v, %v and %v",
				times, g, d, h, goroutines, descriptors, heap)
		}
		return nil
	})
	const complete = (times + warmUp) / 4 * 3 // a quarter give up within the handshake
	if n := metric(t, i.URL, `zonecast_connections_closed_total{code="going_away",transport="websocket"}`); n != complete {
		t.Errorf("%v ends are counted, want %d", n, complete)
	}
}

// churn connects and disconnects so many clients.
func churn(t *testing.T, address string, visits, atOnce int) {
	t.Helper()
	var left atomic.Int64
	left.Store(int64(visits))
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				if err := kindsOfVisit[n%int64(len(kindsOfVisit))](address); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// upgrade opens a WebSocket connection. The extensions, if not empty, are offered.
func upgrade(address, query, extensions string) (net.Conn, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, nil, err
	}
	if extensions != "" {
		extensions = "Sec-WebSocket-Extensions: " + extensions + "\r\n"
	}
	_, err = fmt.Fprintf(conn, "GET /ws?%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", query, address, extensions)
	in := bufio.NewReader(conn)
	if err == nil {
		var answer *http.Response
		if answer, err = http.ReadResponse(in, nil); err == nil && answer.StatusCode != http.StatusSwitchingProtocols {
			err = fmt.Errorf("the handshake was answered %s", answer.Status)
		}
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, in, nil
}

// The ways in which a visit ends, or does not even begin.
var kindsOfVisit = []func(address string) error{hangUp, sayGoodbye, giveUp, subscribeAndGo}

// hangUp waits until it is in its rooms, and leaves without a word.
func hangUp(address string) error { return visit(address, "", nil) }

// sayGoodbye offers deflate, and leaves with a close frame that is answered.
func sayGoodbye(address string) error {
	return visit(address, "permessage-deflate", func(conn net.Conn, in *bufio.Reader) error {
		if _, err := conn.Write(wsframe.AppendMasked(nil, wsframe.Close, [4]byte{}, []byte("\x03\xe8"))); err != nil {
			return err
		}
		return await(in, wsframe.Close)
	})
}

// subscribeAndGo joins one more room, of many.
func subscribeAndGo(address string) error {
	return visit(address, "", func(conn net.Conn, in *bufio.Reader) error {
		text := fmt.Sprintf(`{"event":"subscribe","id":1,"data":{"warehouse":"w%03d"}}`, rand.IntN(1000))
		if _, err := conn.Write(wsframe.AppendMasked(nil, wsframe.Text, [4]byte{}, []byte(text))); err != nil {
			return err
		}
		return await(in, wsframe.Text)
	})
}

// giveUp leaves within the handshake.
func giveUp(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /ws?warehouse=w1 HTTP/1.1\r\nHost: x\r\nConnec")
	return err
}

// visit connects, waits until it is in its rooms, does what it came for, and hangs up.
func visit(address, extensions string, then func(net.Conn, *bufio.Reader) error) error {
	conn, in, err := upgrade(address, "warehouse=w1&zone=a", extensions)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := await(in, wsframe.Text); err != nil || then == nil {
		return err
	}
	return then(conn, in)
}

// await reads until a frame of this kind.
func await(in *bufio.Reader, op wsframe.Op) error {
	for {
		if h, _, err := testkit.ReadFrame(in, nil); err != nil || h.Op == op {
			return err
		}
	}
}
