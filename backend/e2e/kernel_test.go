package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// sendBuffers are the sizes that are compared: that of the system, and the default.
var sendBuffers = []struct{ name, setting string }{{"system", "0"}, {"default", "131072"}}

// A client that does not read costs its bound, and in the kernel at most twice its send buffer:
// without that bound it pins several MiB there. With -full there are 1,000 of them, and what the
// whole machine's TCP takes is logged.
func TestWhatTheKernelHoldsForClientsThatNeverReadIsBounded(t *testing.T) {
	clients := 8
	if *full {
		clients = 1000
	}
	for _, size := range sendBuffers {
		t.Run(size.name, func(t *testing.T) {
			i := alone(t, map[string]string{"HISTORY_MESSAGES": "10", "SEND_BUFFER_BYTES": size.setting}).Instances[0]
			for range clients {
				conn, _, err := upgrade(i.Address, "warehouse=warehouse-1&zone=deaf", "")
				testkit.Must(t, err)
				defer conn.Close()
				testkit.Must(t, conn.(*net.TCPConn).SetReadBuffer(4096))
			}
			before, most, largest := tcpMemory(t), 0, 0
			body := fmt.Sprintf(`{"event":"E","data":%q}`, strings.Repeat("x", 32_000))
			for n := 0; metric(t, i.URL, `zonecast_messages_dropped_total{reason="slow_consumer"}`) == 0; n++ {
				if n == 400 {
					t.Fatal("13 MB were published, and nobody is closed")
				}
				_, err := publishTill([]string{i.URL}, "deaf", "", body)
				testkit.Must(t, err)
				if waiting := metric(t, i.URL, "zonecast_outbox_bytes"); waiting > float64(clients*wire.QueuedBytes) {
					t.Fatalf("%v bytes wait for %d clients with a bound of %d each", waiting, clients, wire.QueuedBytes)
				}
				most, largest = max(most, tcpMemory(t)-before), max(largest, unacknowledged(t, i.Address))
			}
			t.Logf("%d clients: the kernel holds up to %d KiB for one, and TCP takes %d KiB more for all", clients, largest>>10, most>>10)
			if largest == 0 || size.setting != "0" && largest > 320<<10 { // twice the buffer, and what one write goes over it
				t.Errorf("the kernel holds %d bytes for one client", largest)
			}
		})
	}
}

// tcpMemory returns what the kernel's TCP takes, in bytes (proc(5), /proc/net/sockstat).
func tcpMemory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/net/sockstat")
	testkit.Must(t, err)
	found := regexp.MustCompile(`TCP: .* mem (\d+)`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("no memory in %s", text)
	}
	pages, _ := strconv.Atoi(string(found[1]))
	return pages * os.Getpagesize()
}

// unacknowledged returns the most bytes that one socket at a local address has in its send queue.
func unacknowledged(t *testing.T, address string) (most int) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	testkit.Must(t, err)
	_, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	local := fmt.Sprintf(":%04X", number)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasSuffix(f[1], local) {
			queued, _, _ := strings.Cut(f[4], ":")
			bytes, _ := strconv.ParseInt(queued, 16, 64)
			most = max(most, int(bytes))
		}
	}
	return most
}

// What a slow reader of a conflated feed sees is no older than what the kernel holds: with -full it
// reads 100 kB a second of 10 MB for a while, and the age of what it sees is logged.
func TestASlowReaderOfAConflatedFeedGetsTheNewest(t *testing.T) {
	reading, step := 3*time.Second, 20*time.Millisecond
	if *full {
		reading, step = 60*time.Second, 100*time.Millisecond
	}
	for _, size := range sendBuffers {
		t.Run(size.name, func(t *testing.T) {
			i := alone(t, map[string]string{"HISTORY_MESSAGES": "10", "SEND_BUFFER_BYTES": size.setting, "PONG_TIMEOUT": "5m"}).Instances[0]
			conn, in, err := upgrade(i.Address, "warehouse=warehouse-1&zone=feed", "")
			testkit.Must(t, err)
			defer conn.Close()
			testkit.Must(t, conn.(*net.TCPConn).SetReadBuffer(16<<10))
			over := time.Now().Add(reading)
			if err := conn.SetReadDeadline(over); err != nil { // it ends with the feed
				t.Fatal(err)
			}
			var feeding sync.WaitGroup
			var newest atomic.Uint64
			feeding.Go(func() {
				body := fmt.Sprintf(`{"event":"E","conflate":"position","data":%q}`, strings.Repeat("x", 10_000))
				for next := time.Now(); next.Before(over); next = next.Add(time.Millisecond) {
					time.Sleep(time.Until(next))
					if at, err := post(i.URL, "feed", "", body); err == nil {
						newest.Store(at.N)
					}
				}
			})
			age, largest := readSlowly(t, io.MultiReader(in, conn), step, over), unacknowledged(t, i.Address)
			feeding.Wait()
			t.Logf("the newest value seen is up to %v old; the kernel holds %d KiB; %d values were published", age, largest>>10, newest.Load())
			if size.setting != "0" && largest > 320<<10 { // twice the buffer, and what one write goes over it
				t.Errorf("the kernel holds %d bytes", largest)
			}
			if n := metric(t, i.URL, `zonecast_messages_dropped_total{reason="conflated"}`); n == 0 {
				t.Error("nothing was conflated: the reader was not slow")
			}
		})
	}
}

// readSlowly reads 10,000 bytes a step and returns the greatest age of a message, as it is read, in
// the second half of the time.
func readSlowly(t *testing.T, from io.Reader, step time.Duration, over time.Time) (oldest time.Duration) {
	t.Helper()
	half := time.Now().Add(time.Until(over) / 2)
	in := bufio.NewReaderSize(from, 10_000)
	accepted := regexp.MustCompile(`"event":"E".*?"time":(\d+)`)
	for next := time.Now(); next.Before(over); next = next.Add(step) {
		time.Sleep(time.Until(next))
		p, err := in.Peek(10_000)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		testkit.Must(t, err)
		if found := accepted.FindSubmatch(p); found != nil && time.Now().After(half) {
			ms, _ := strconv.ParseInt(string(found[1]), 10, 64)
			oldest = max(oldest, time.Since(time.UnixMilli(ms)))
		}
		_, err = in.Discard(len(p))
		testkit.Must(t, err)
	}
	return oldest
}
