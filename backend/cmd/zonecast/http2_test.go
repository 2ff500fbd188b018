package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// http2Frame is a frame of RFC 9113 section 4.1.
func http2Frame(kind, flags byte, stream uint32, payload string) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	return append(binary.BigEndian.AppendUint32(append(head, flags), stream), payload...)
}

// A client that asks for as many pages as it likes over one HTTP/2 connection, and lets none of
// them through, gets a few at once, and costs what their bytes are.
func TestAnHTTP2ConnectionThatTakesNothingCostsLittle(t *testing.T) {
	s := serving(t)
	const requests, settings, headers, reset, most = 250, 4, 1, 3, 8 << 20
	s.ask(t, "GET", "/screen/w/a") // what all pages share
	before := int(testkit.LiveHeap())
	c, err := net.Dial("tcp", s.listener.Addr().String())
	testkit.Must(t, err)
	defer c.Close()
	testkit.Must(t, c.SetDeadline(time.Now().Add(testkit.Patience)))
	ask := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	ask = append(ask, http2Frame(settings, 0, 0, "\x00\x04\x00\x00\x00\x00")...) // SETTINGS_INITIAL_WINDOW_SIZE is 0
	for i := range uint32(requests) {
		path := fmt.Sprintf("/screen/w/zone-%03d", i)
		// :method GET, :scheme http, :path, :authority, accept-encoding: gzip, deflate (RFC 7541)
		fields := "\x82\x86\x04" + string(rune(len(path))) + path + "\x01\x09localhost\x90"
		ask = append(ask, http2Frame(headers, 4|1, 2*i+1, fields)...) // END_HEADERS, END_STREAM
	}
	_, err = c.Write(ask)
	testkit.Must(t, err)
	begun, refused := 0, 0
	for begun+refused < requests {
		var head [9]byte
		_, err := io.ReadFull(c, head[:])
		testkit.Must(t, err)
		_, err = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[:])>>8))
		testkit.Must(t, err)
		switch head[3] {
		case headers:
			begun++
		case reset:
			refused++
		}
	}
	if cost := int(testkit.LiveHeap()) - before; begun != maxStreams || cost > most {
		t.Errorf("%d pages were begun, %d refused, and cost %d KiB; want %d, and at most %d KiB", begun, refused, cost>>10, maxStreams, most>>10)
	}
}
