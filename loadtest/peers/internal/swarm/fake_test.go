//go:build linux

package swarm

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/peers/internal/frame"
)

// faults are what a fake server does wrong to one member, the first of the first room, with a message of the number given
// (from 1), and to publishes.
type faults struct {
	drop, double, damage, end int
	// swap: this message comes after the next one.
	swap int
	// refuse and ignore a publish of this number.
	refuse, ignore int
}

// A fake is a server that speaks Zonecast's protocol, and errs as it is told.
type fake struct {
	faults  faults
	deflate bool

	mu      sync.Mutex
	members map[string][]*client
	n       int // messages
	held    map[*client][]byte

	deflating sync.Mutex
	deflater  *flate.Writer
}

type client struct {
	conn   net.Conn
	reader frame.Reader
}

// startFake serves until the test ends.
func startFake(t *testing.T, f *fake) netip.AddrPort {
	t.Helper()
	f.members, f.held = make(map[string][]*client), make(map[*client][]byte)
	var err error
	if f.deflater, err = flate.NewWriter(nil, flate.BestSpeed); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				_ = f.serve(&client{conn: conn, reader: frame.Reader{From: frame.FromClient}}) // ends with the client
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		f.mu.Lock()
		for _, members := range f.members {
			for _, c := range members {
				_ = c.conn.Close()
			}
		}
		f.mu.Unlock()
		serving.Wait()
	})
	return netip.MustParseAddrPort(listener.Addr().String())
}

func (f *fake) serve(c *client) error {
	p := make([]byte, 0, 64<<10)
	open := false
	for {
		n, err := c.conn.Read(p[len(p):cap(p)])
		if err != nil {
			return err
		}
		p = p[:len(p)+n]
		if !open {
			key, n, err := frame.ParseRequest(p)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			open, p = true, append(p[:0], p[n:]...)
			if _, err := c.conn.Write(f.response(key)); err != nil {
				return err
			}
			f.say(c, []byte(`{"event":"connected","data":{"rooms":[]}}`))
		}
		for {
			m, n, err := c.reader.Next(p)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			if err := f.obey(c, m); err != nil {
				return err
			}
			p = append(p[:0], p[n:]...)
		}
	}
}

func (f *fake) response(key string) []byte {
	p := frame.AppendResponse(nil, key)
	if f.deflate {
		p = append(p[:len(p)-2], "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n"...)
	}
	return p
}

func (f *fake) obey(c *client, m frame.Message) error {
	if m.Op != frame.Text {
		return nil
	}
	in, err := wire.DecodeClient(m.Payload)
	if err != nil {
		return err
	}
	var p wire.Publish
	if err := json.Unmarshal(in.Data, &p); err != nil {
		return err
	}
	room, err := p.Room()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if in.Event == wire.EventSubscribe {
		f.members[room.String()] = append(f.members[room.String()], c)
		f.say(c, wire.AppendAck(nil, in.ID, nil))
		return nil
	}
	switch f.n++; f.n {
	case f.faults.ignore:
		return nil
	case f.faults.refuse:
		f.say(c, wire.AppendError(nil, in.ID, true, wire.Errorf(wire.CodeRateLimited, "wait")))
		return nil
	}
	f.say(c, wire.AppendAck(nil, in.ID, nil))
	text := wire.AppendMessage(nil, &wire.Message{Room: room, Event: p.Event, Offset: wire.Offset{Epoch: "e", N: uint64(f.n)}, Data: p.Data})
	for i, member := range f.members[room.String()] {
		if i == 0 {
			f.err(member, text)
		} else {
			f.say(member, text)
		}
	}
	return nil
}

// err sends a message, but for what must go wrong.
func (f *fake) err(c *client, text []byte) {
	switch f.n {
	case f.faults.drop:
		return
	case f.faults.swap:
		f.held[c] = text
		return
	case f.faults.end:
		_, _ = c.conn.Write(frame.Append(nil, frame.Close, frame.FromServer, [4]byte{}, []byte("\x11\x38slow consumer")))
		_ = c.conn.Close()
		return
	case f.faults.damage:
		text = slices.Clone(text)
		text[len(text)-60] ^= 1
	case f.faults.double:
		f.say(c, text)
	}
	f.say(c, text)
	if late, ok := f.held[c]; ok {
		f.say(c, late)
		delete(f.held, c)
	}
}

// say sends a text, and cares no more than a server does whether it arrives.
func (f *fake) say(c *client, text []byte) {
	if !f.deflate {
		_, _ = c.conn.Write(frame.Append(nil, frame.Text, frame.FromServer, [4]byte{}, text))
		return
	}
	f.deflating.Lock()
	defer f.deflating.Unlock()
	var b bytes.Buffer
	f.deflater.Reset(&b)
	_, err := f.deflater.Write(text)
	if err = errors.Join(err, f.deflater.Flush()); err != nil {
		panic(err) // a buffer takes everything
	}
	p := frame.Append(nil, frame.Text, frame.FromServer, [4]byte{}, bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff}))
	p[0] |= 0x40 // RSV1: deflated
	_, _ = c.conn.Write(p)
}
