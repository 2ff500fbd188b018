package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

const (
	// costOfTheDeaf is the most that a client which never reads may cost, in the process and in the
	// kernel together.
	costOfTheDeaf = 512 << 10
	// goneWithin is how long after its end nothing of such a connection may be left.
	goneWithin = 30 * time.Second
)

// deaf are clients that send what the socket takes, and read nothing, by transport.
var deaf = []struct {
	name    string
	history int // events of 32,000 bytes in the room before
	request func(address string) string
	stream  bool // events are published until the server ends the connections
	retain  bool // those of the room before, each under a name of its own
}{
	{"WebSocket", 0, func(address string) string {
		return "GET /ws?warehouse=warehouse-1&zone=deaf HTTP/1.1\r\nHost: " + address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	}, true, false},
	{"SSE", 0, func(address string) string {
		return "GET /sse?warehouse=warehouse-1&zone=deaf HTTP/1.1\r\nHost: " + address + "\r\n\r\n"
	}, true, false},
	{"long poll", 30, func(address string) string {
		return strings.Repeat("GET /poll?room=zone:warehouse-1:deaf&cursor=CURSOR HTTP/1.1\r\nHost: "+address+"\r\n\r\n", 1000)
	}, false, false},
	{"long poll of retained events", 30, func(address string) string {
		return strings.Repeat("GET /poll?room=zone:warehouse-1:deaf HTTP/1.1\r\nHost: "+address+"\r\n\r\n", 1000)
	}, false, true},
	{"plain HTTP", 0, func(address string) string {
		return strings.Repeat("GET /assets/plex-latin.woff2 HTTP/1.1\r\nHost: "+address+"\r\n\r\n", 10_000)
	}, false, false},
}

// Clients that never read cost 512 KiB each at most, that of the kernel included, and nothing is
// left of them half a minute after the server has ended their connections, although they stay. With
// -full there are 1,000 of them.
func TestPromiseClientsThatNeverReadCostLittleAndLeaveNothing(t *testing.T) {
	testkit.NeedProgram(t, "ss")
	// The process keeps something for itself, which a few clients don't outweigh; and a busy
	// machine is not in time.
	clients, runtime, within := 100, 16<<20, goneWithin+testkit.Patience
	if *full {
		clients, runtime, within = 1000, 0, goneWithin
	}
	for _, d := range deaf {
		t.Run(d.name, func(t *testing.T) {
			if !*full {
				t.Parallel()
			}
			i := alone(t, map[string]string{"HISTORY_MESSAGES": "100"}).Instances[0]
			event := fmt.Sprintf(`{"event":"E","data":%q}`, strings.Repeat("x", 32_000))
			at := send(t, i.URL, "deaf", event)
			for n := range d.history {
				before := event
				if d.retain {
					before = strings.Replace(event, `"E"`, fmt.Sprintf(`"E%d","retain":true`, n), 1)
				}
				send(t, i.URL, "deaf", before)
			}
			request := strings.ReplaceAll(d.request(i.Address), "CURSOR", begin(t, at, "deaf").cursor.String())
			before := processMemory(t, i)
			for range clients {
				conn, err := net.Dial("tcp", i.Address)
				testkit.Must(t, err)
				defer conn.Close()
				testkit.Must(t, conn.(*net.TCPConn).SetReadBuffer(4096))
				go func() { _, _ = io.WriteString(conn, request) }() // it ends with the connection
			}
			testkit.Eventually(t, "all are there", func() bool { return len(kernelMemory(t, i)) >= clients })
			most, inKernel := 0, 0
			patience := time.Now().Add(2 * time.Minute)
			for n := clients; n >= clients; n = len(kernelMemory(t, i)) {
				if d.stream {
					_, err := publishTill([]string{i.URL}, "deaf", "", event)
					testkit.Must(t, err)
				} else {
					time.Sleep(100 * time.Millisecond)
				}
				process, kernel := processMemory(t, i)-before, 0
				for _, bytes := range kernelMemory(t, i) {
					kernel += bytes
				}
				if process+kernel > most {
					most, inKernel = process+kernel, kernel
				}
				if time.Now().After(patience) {
					t.Fatal("nobody was given up")
				}
			}
			t.Logf("%d clients cost up to %d KiB each, %d of them in the kernel", clients, most/clients>>10, inKernel/clients>>10)
			if most > clients*costOfTheDeaf+runtime {
				t.Errorf("%d clients cost %d bytes, want at most %d each", clients, most, costOfTheDeaf)
			}
			ended := time.Now()
			http.DefaultClient.CloseIdleConnections() // this test's own
			for left := kernelMemory(t, i); len(left) > 0; left = kernelMemory(t, i) {
				if time.Since(ended) > within {
					t.Fatalf("%d sockets are left %v after their end: %v", len(left), time.Since(ended).Round(time.Second), left)
				}
				time.Sleep(100 * time.Millisecond)
			}
			t.Logf("nothing was left after %v", time.Since(ended).Round(100*time.Millisecond))
		})
	}
}

// processMemory returns what a server's runtime holds of the system's memory, in bytes. That is its
// resident memory but for the program itself, and for what the race detector needs.
func processMemory(t *testing.T, i *stack.Server) int {
	t.Helper()
	return int(metric(t, i.URL, "go_memstats_sys_bytes") - metric(t, i.URL, "go_memstats_heap_released_bytes"))
}

// kernelMemory returns what the kernel holds for each of a server's connections, in bytes, with its
// state before it: buffers as they are allocated (skmem of ss(8)). TIME-WAIT has none.
func kernelMemory(t *testing.T, i *stack.Server) map[string]int {
	t.Helper()
	_, port, err := net.SplitHostPort(i.Address)
	testkit.Must(t, err)
	text, err := exec.Command("ss", "-tmnHO", "exclude", "listening", "exclude", "time-wait", "sport = :"+port).Output()
	testkit.Must(t, err)
	all := map[string]int{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		sizes := regexp.MustCompile(`skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+),`).FindStringSubmatch(line)
		if len(f) < 5 || sizes == nil {
			t.Fatalf("ss says %q", line)
		}
		bytes := 0
		for _, size := range sizes[1:] {
			n, _ := strconv.ParseUint(size, 10, 32)
			bytes += int(int32(n)) // what is allocated beforehand (f) may be overdrawn
		}
		all[f[0]+" "+f[4]] = bytes
	}
	return all
}
