package outbox_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// numbering marks each message with its place in the order in which they leave, and with a text of varying length.
type numbering struct{ n int }

func (m *numbering) Mark(dst []byte, f *outbox.Frame) []byte {
	if _, ok := f.Place(); !ok {
		return dst
	}
	m.n++
	return fmt.Appendf(dst, "%d %s|", m.n, strings.Repeat("m", m.n%200))
}

// Marks stand before their own frame, however fast the reader is, and the account comes out even.
func TestEachFrameHasItsMark(t *testing.T) {
	const n = 3000
	for name, connect := range map[string]func() (net.Conn, net.Conn){
		"with a descriptor": func() (net.Conn, net.Conn) { s, c := pair(t); return s, c },
		"without":           net.Pipe,
	} {
		for _, pause := range []int{0, 300} { // after how many lines the reader rests
			t.Run(fmt.Sprint(name, " resting ", pause), func(t *testing.T) {
				p, _ := start(t, outbox.Options{MaxBytes: 1 << 20})
				server, client := connect()
				defer client.Close()
				q := p.NewMarkedQueue(server, lines, new(numbering))
				q.Push(outbox.NewControl([]byte("0 control")))
				go func() {
					for i := range n {
						<-q.Drained()
						q.Push(message(i))
					}
					q.Push(outbox.NewControl([]byte("the end")))
				}()
				r := bufio.NewReader(client)
				if line, err := r.ReadString('\n'); line != "0 control\n" {
					t.Fatalf("the first line is %q: %v", line, err)
				}
				for i := range n {
					line, err := r.ReadString('\n')
					want := fmt.Sprintf("%d %s|%d x", i+1, strings.Repeat("m", (i+1)%200), i)
					if err != nil || !strings.HasPrefix(line, want) {
						t.Fatalf("line %d is %.300q: %v", i, line, err)
					}
					if pause > 0 && i%pause == 0 {
						time.Sleep(5 * time.Millisecond)
					}
				}
				if line, err := r.ReadString('\n'); line != "the end\n" {
					t.Fatalf("the last line is %q: %v", line, err)
				}
				for deadline := time.Now().Add(10 * time.Second); q.Stats().Waiting != 0; time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("%d bytes wait although everything has arrived", q.Stats().Waiting)
					}
				}
				q.Hangup(wire.CloseGoingAway)
				io.Copy(io.Discard, r)
			})
		}
	}
}

// final is the form of a transport whose peer does not answer the closing bytes.
var final = &outbox.Form{Frame: lines.Frame, Closing: lines.Closing, Final: true}

func TestAFinalFormEndsWithItsClosingBytes(t *testing.T) {
	for _, frames := range []int{0, 1, 1000} {
		t.Run(fmt.Sprint("after ", frames, " frames"), func(t *testing.T) {
			p, _ := start(t, outbox.Options{CloseGrace: time.Hour}) // nothing else ends it
			server, client := pair(t)
			q := p.NewQueue(server, final)
			for i := range frames {
				q.Push(message(i))
			}
			q.Close(wire.CloseRestart, "restart")
			r := bufio.NewReader(client)
			client.SetReadDeadline(time.Now().Add(10 * time.Second))
			wantLines(t, r, 0, frames)
			if rest, err := io.ReadAll(r); err != nil || string(rest) != "close 1012\n" {
				t.Errorf("the end is %q: %v", rest, err)
			}
		})
	}
}
