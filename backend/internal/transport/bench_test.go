package transport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/publishing"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/sse"
	"github.com/zonecast/zonecast/backend/internal/transport/ws"
	"github.com/zonecast/zonecast/backend/wire"
)

// readers names the variable that makes this program a process of clients, so that what they read is not the server's work:
// how many, where, and how they ask.
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
	hub  *hub.Hub
	pool *outbox.Pool
}

func newBench(b *testing.B, name string, clients int) *bench {
	m := metrics.New("bench")
	s := &bench{pool: outbox.NewPool(outbox.Options{Meter: m})}
	s.hub = hub.New(hub.Options{Pool: s.pool})
	s.hub.Use(broker.NewMemory(broker.Limits{Messages: 1000}, s.hub))
	log := slog.New(slog.DiscardHandler)
	gate := transport.NewGate(transport.Options{Hub: s.hub, Metrics: m, Log: log, Node: "bench", Heartbeat: wire.HeartbeatInterval,
		Publisher:     publishing.New(publishing.Options{Hub: s.hub, Metrics: m, MaxDataBytes: wire.InboundFrameBytes}),
		MaxFrameBytes: wire.InboundFrameBytes, Guard: auth.New(auth.Options{})})
	e := echo.New()
	e.GET("/ws", ws.New(ws.Options{Gate: gate, Pool: s.pool}).Serve)
	e.GET("/sse", sse.New(gate, s.pool).Serve)
	web := httptest.NewUnstartedServer(e)
	web.Config.ConnState = nil
	web.Start()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", readers, clients, strings.TrimPrefix(web.URL, "http://"), requests[name]))
	command.Stderr = os.Stderr
	stop, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stop.Close()
		command.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		gate.Drain(ctx)
		web.Close()
		s.pool.Close()
	})
	eventually(b, "all clients are members", func() bool { return gate.Connections(name) == clients && s.hub.Counts().Zones[zoneA] == clients })
	return s
}

var zoneA = wire.Room{Warehouse: "w", Zone: "a"}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("still not so: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkDelivery compares what a delivery of 128 bytes costs the server over each transport: one message at a time, where
// each is a write of its own, and as fast as the clients read, where many share a write. The clients are in two rooms, as
// those of a zone are.
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
					if _, err := s.hub.Publish(b.Context(), p); err != nil {
						b.Fatal(err)
					}
					for s.pool.Waiting() > load.waiting {
						if load.waiting == 0 {
							time.Sleep(50 * time.Microsecond)
						}
						runtime.Gosched()
					}
				}
				for s.pool.Waiting() > 0 {
					time.Sleep(50 * time.Microsecond)
				}
				b.ReportMetric(float64((cpu(b)-began).Nanoseconds())/float64(b.N*clients), "cpu-ns/delivery")
				if n := s.hub.Connections(); n != clients {
					b.Fatalf("%d clients are left", n)
				}
			})
		}
	}
}

// cpu is what this process has used so far.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
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
