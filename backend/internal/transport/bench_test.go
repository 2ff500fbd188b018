package transport_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/sse"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/internal/transport/ws"
	"github.com/zonecast/zonecast/backend/wire"
)

// readers names the variable that makes this program a process of clients, so that what they read
// is not the server's work: how many, where, and how they ask.
const readers = "ZONECAST_BENCH_READERS"

func TestMain(m *testing.M) {
	if what := os.Getenv(readers); what != "" {
		read(what)
		return
	}
	os.Exit(m.Run())
}

// read opens the connections and throws away what comes, until standard input ends.
func read(what string) {
	number, rest, _ := strings.Cut(what, " ")
	address, request, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(number)
	for range n {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Fprint(conn, strings.ReplaceAll(request, "|", "\r\n"))
		go io.Copy(io.Discard, conn)
	}
	io.Copy(io.Discard, os.Stdin)
}

// requests are how clients of each transport ask for their stream; | ends a line.
var requests = map[string]string{
	transport.WebSocket: "GET /ws?warehouse=w&zone=a HTTP/1.1|Host: h|Connection: Upgrade|Upgrade: websocket|" +
		"Sec-WebSocket-Version: 13|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==||",
	transport.SSE: "GET /sse?warehouse=w&zone=a HTTP/1.1|Host: h||",
}

// A bench is a server with both transports, and its clients in another process.
type bench struct {
	*transporttest.Server
	pool *outbox.Pool
}

func newBench(b *testing.B, name string, clients int) *bench {
	s := new(bench)
	s.Server = transporttest.Start(b, transporttest.Options{Transport: name, History: 1000,
		Limits: transport.Limits{Connections: clients},
		Routes: func(e *echo.Echo, gate *transport.Gate, pool *outbox.Pool) {
			s.pool = pool
			e.GET("/ws", ws.New(ws.Options{Gate: gate, Pool: pool}).Serve)
			e.GET("/sse", sse.New(gate, pool).Serve)
		}})
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", readers, clients, strings.TrimPrefix(s.URL, "http://"), requests[name]))
	command.Stderr = os.Stderr
	stop, err := command.StdinPipe()
	testkit.Must(b, err)
	testkit.Must(b, command.Start())
	b.Cleanup(func() {
		stop.Close()
		command.Wait()
	})
	testkit.Eventually(b, "all clients are members", func() bool {
		return s.Gate.Connections(name) == clients && s.Hub.Counts().Zones[zoneA] == clients
	})
	return s
}

var zoneA = wire.Room{Warehouse: "w", Zone: "a"}

// BenchmarkDelivery compares what a delivery of 128 bytes costs the server over each transport: one
// message at a time, where each is a write of its own, and as fast as the clients read, where many
// share a write. The clients are in two rooms, as those of a zone are.
func BenchmarkDelivery(b *testing.B) {
	const clients = 1000
	for _, load := range []struct {
		name    string
		waiting int64 // how many bytes may wait when the next message is published
	}{{"one at a time", 0}, {"flood", clients << 13}} {
		for _, name := range []string{transport.WebSocket, transport.SSE} {
			b.Run(load.name+"/"+name, func(b *testing.B) {
				s := newBench(b, name, clients)
				p := broker.Publication{Room: zoneA, Event: wire.EventZoneUpdate, Data: json.RawMessage(`"` + strings.Repeat("x", 126) + `"`)}
				began := cpu(b)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.Hub.Publish(b.Context(), p); err != nil {
						b.Fatal(err)
					}
					for s.pool.QueuedBytes() > load.waiting {
						if load.waiting == 0 {
							time.Sleep(50 * time.Microsecond)
						}
						runtime.Gosched()
					}
				}
				for s.pool.QueuedBytes() > 0 {
					time.Sleep(50 * time.Microsecond)
				}
				b.ReportMetric(float64((cpu(b)-began).Nanoseconds())/float64(b.N*clients), "cpu-ns/delivery")
				if n := s.Hub.Connections(); n != clients {
					b.Fatalf("%d clients are left", n)
				}
			})
		}
	}
}

// cpu is what this process has used so far.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	testkit.Must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIdle reports what an idle connection over each transport keeps of the server's memory.
func BenchmarkIdle(b *testing.B) {
	const clients = 9000
	for _, name := range []string{transport.WebSocket, transport.SSE} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				before := resident()
				newBench(b, name, clients)
				b.ReportMetric(float64(resident()-before)/clients, "B/connection")
			}
		})
	}
}

func resident() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
