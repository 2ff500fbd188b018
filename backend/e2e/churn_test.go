package e2e_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// However many come and go, nothing of them stays: no goroutine, no descriptor, no memory.
func TestComingAndGoingLeavesNothing(t *testing.T) {
	const visits, atOnce = 50_000, 64
	i := alone(t, map[string]string{"GOGC": "50"}).Instances[0]
	churn(t, i.Address, 2_000, atOnce) // what the runtime keeps for good is there now
	settled := func() (goroutines, descriptors, heap float64) {
		eventually(t, "all are gone", func() error {
			if n := metric(t, i.URL, `zonecast_connections{transport="websocket"}`); n != 0 {
				return fmt.Errorf("%v are connected", n)
			}
			return nil
		})
		return metric(t, i.URL, "go_goroutines"), metric(t, i.URL, "process_open_fds"), metric(t, i.URL, "go_memstats_heap_inuse_bytes")
	}
	goroutines, descriptors, heap := settled()
	churn(t, i.Address, visits, atOnce)
	eventually(t, "everything is as it was", func() error {
		g, d, h := settled()
		if g > goroutines+5 || d > descriptors+5 || h > heap+8<<20 {
			return fmt.Errorf("after %d visits %v goroutines, %v descriptors and %v bytes of heap; before them %v, %v and %v",
				visits, g, d, h, goroutines, descriptors, heap)
		}
		return nil
	})
	if n := metric(t, i.URL, `zonecast_connections_closed_total{code="going_away",transport="websocket"}`); n != visits+2_000 {
		t.Errorf("%v ends are counted, want %d", n, visits+2_000)
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
			for left.Add(-1) >= 0 {
				if err := visit(address); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// visit connects, waits until it is in its rooms, and hangs up without a word.
func visit(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET /ws?warehouse=w1&zone=a HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", address)
	if err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("handshake: %v %v", answer, err)
	}
	head := make([]byte, 4)
	if _, err := in.Read(head); err != nil {
		return err
	}
	if !strings.HasPrefix(string(head), "\x81") {
		return fmt.Errorf("the first frame begins %q", head)
	}
	return nil
}
