//go:build unix

package outbox_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// BenchmarkQueue measures pushing to a queue and writing what it holds to a pair of sockets that is
// read as fast as it can be, by a goroutine of its own: pushing, the writer, and write(2). Without
// a descriptor each batch also starts the goroutine of a stalled queue; there the connection takes
// everything at once, so that no kernel is in the figure.
func BenchmarkQueue(b *testing.B) {
	for _, c := range []struct {
		name string
		conn func(b *testing.B) net.Conn
	}{{"socket", drained}, {"no descriptor", func(*testing.B) net.Conn { return taker{} }}} {
		for _, batch := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s, %d at once", c.name, batch), func(b *testing.B) {
				p, m := start(b, outbox.Options{})
				q := p.NewQueue(c.conn(b), lines, nil)
				f := message(0)
				b.ReportAllocs()
				for b.Loop() {
					for range batch {
						q.Push(f)
					}
					for q.Stats().QueuedBytes > 256<<10 {
						<-q.AtLowWatermark()
					}
				}
				for q.Stats().QueuedBytes > 0 {
					runtime.Gosched()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/frame")
				if n := m.messages.Load(); n != int64(b.N*batch) {
					b.Fatalf("%d of %d frames were written", n, b.N*batch)
				}
				q.Hangup(wire.CloseGoingAway)
			})
		}
	}
}

// drained returns one end of a pair of sockets, and throws away what comes out of the other one.
func drained(b *testing.B) net.Conn {
	b.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	testkit.Must(b, err)
	ends := make([]net.Conn, len(fds))
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socketpair")
		if ends[i], err = net.FileConn(f); err != nil { // which duplicates it
			b.Fatal(err)
		}
		f.Close()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, ends[1])
	}()
	b.Cleanup(func() {
		ends[0].Close()
		<-done
		ends[1].Close()
	})
	return ends[0]
}

// taker takes all that is written.
type taker struct{ net.Conn }

func (taker) Write(p []byte) (int, error) { return len(p), nil }
func (taker) Close() error                { return nil }

// BenchmarkConflate measures a push to a full queue where each replaces one of so many states.
func BenchmarkConflate(b *testing.B) {
	for _, waiting := range []int{10, 1_000, 8_000} {
		b.Run(fmt.Sprintf("among %d", waiting), func(b *testing.B) {
			p, _ := start(b, outbox.Options{MaxQueuedBytes: 64 << 20})
			s, c := pair(b)
			q := p.NewQueue(s, lines, nil)
			block(q)
			names := make([]string, waiting)
			for i := range names {
				names[i] = fmt.Sprint("name-", i)
				q.Push(state("r", names[i], uint64(i+1)))
			}
			i := waiting
			b.ReportAllocs()
			for b.Loop() {
				q.Push(state("r", names[i*7919%waiting], uint64(i+1)))
				i++
			}
			b.StopTimer()
			if q.Code() != 0 {
				b.Fatalf("closed with %s", q.Code())
			}
			q.Hangup(wire.CloseGoingAway)
			io.Copy(io.Discard, c)
		})
	}
}

// BenchmarkGather compares what a writer may do with a batch of small frames: copy them together
// for one write(2), or hand them to one writev(2) as they are.
func BenchmarkGather(b *testing.B) {
	for _, size := range []int{128, 1 << 10, 4 << 10} {
		frames := make([][]byte, 16)
		for i := range frames {
			frames[i] = make([]byte, size)
		}
		run := func(name string, write func(conn *net.TCPConn) error) {
			b.Run(fmt.Sprintf("16 of %d bytes, %s", size, name), func(b *testing.B) {
				s, c := pair(b)
				s.SetWriteBuffer(1 << 20)
				c.SetReadBuffer(1 << 20)
				go io.Copy(io.Discard, c)
				b.ReportAllocs()
				for b.Loop() {
					testkit.Must(b, write(s))
				}
			})
		}
		buf := make([]byte, 0, 16*size)
		run("copied", func(conn *net.TCPConn) error {
			buf = buf[:0]
			for _, f := range frames {
				buf = append(buf, f...)
			}
			_, err := conn.Write(buf)
			return err
		})
		vector := make(net.Buffers, 0, len(frames))
		run("writev", func(conn *net.TCPConn) error {
			v := append(vector[:0], frames...)
			_, err := v.WriteTo(conn)
			return err
		})
	}
}
