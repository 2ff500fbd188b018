package outbox

import "github.com/zonecast/zonecast/backend/wire"

// An Encoding is how one transport writes frames to its sockets. What it makes of a frame is made
// once and kept with the frame: so a transport has one for each way in which its bytes differ, not
// one for each connection. Its functions may be called by several goroutines at once, with locks
// held: they only compute. Exactly one of Append and Header is set.
type Encoding struct {
	// Transport is the name of the transport, under which what is written is counted.
	Transport string
	// Append appends a frame's bytes on the socket to dst; none for a frame that is not sent.
	Append func(dst []byte, f *Frame) []byte
	// Header says that each frame is a header of at most 10 bytes and then its JSON, so that a
	// broadcast needs no copy. It appends the header of n bytes to dst.
	Header func(dst []byte, n int) []byte
	// Closing returns the bytes that tell the peer why the connection ends; empty when there are
	// none.
	Closing func(code wire.CloseCode, reason string) []byte
	// Final is set when the peer does not answer these bytes: the socket closes once it has taken
	// them.
	Final bool
}

// A Prefixer writes what stands before a frame for one connection alone, so that the frame itself
// can be shared. It is called once for each frame, in the order in which they leave, just before
// they do, by one goroutine at a time, and never with a lock of the queue held: it may ask the
// queue.
type Prefixer interface {
	// Prefix appends to dst and returns the result. What it appends is not charged to the queue.
	Prefix(dst []byte, f *Frame) []byte
}

// headroom is the longest header that an encoding may put before the JSON.
const headroom = 10

// frameBytes is what a frame costs beside its bytes: the Frame itself, the texts of its Identity,
// its entry in a queue. [Queue] charges it, so that its bound holds for many small frames too.
const frameBytes = 320

// encodedBytes is the size of an encoded.
const encodedBytes = 48

// Weight returns about what a queue is charged for a message whose event and data have so many
// bytes.
func Weight(bytes int) int {
	const around = 100 // of the frame
	return frameBytes + around + bytes
}

// encoded is a frame as it is on the sockets of one encoding.
type encoded struct {
	encoding *Encoding // nil for any
	bytes    []byte
	charge   int      // what a queue that holds the frame is charged for it
	next     *encoded // the same frame in another encoding
}

// In returns the frame's bytes in the given encoding. It may be called by several goroutines at
// once.
func (f *Frame) In(by *Encoding) []byte { return f.in(by).bytes }

// in looks through the few encodings that a program has: the frame grows only by those that are
// used.
func (f *Frame) in(by *Encoding) *encoded {
	for e := f.encodings.Load(); e != nil; e = e.next {
		if e.encoding == by || e.encoding == nil {
			return e
		}
	}
	return f.encode(by)
}

// encode makes the frame's bytes in an encoding, once.
func (f *Frame) encode(by *Encoding) *encoded {
	f.encoding.Lock()
	defer f.encoding.Unlock()
	made := f.encodings.Load()
	for e := made; e != nil; e = e.next {
		if e.encoding == by {
			return e
		}
	}
	e := &encoded{encoding: by, charge: frameBytes + cap(f.JSON), next: made}
	grown := encodedBytes
	if f.Message.Conflate != "" {
		e.charge += nameBytes
	}
	if by.Header != nil && f.buf != nil {
		header := by.Header(make([]byte, 0, headroom), len(f.JSON))
		e.bytes = f.buf[headroom-len(header):]
		copy(e.bytes, header)
		f.buf = nil // the next such encoding needs a place of its own
	} else {
		e.bytes = by.encode(f)
		e.charge += cap(e.bytes)
		grown += cap(e.bytes)
	}
	f.encodings.Store(e)
	if f.OnEncoded != nil {
		f.OnEncoded(grown)
	}
	return e
}

// encode returns a frame's bytes in a buffer of their own.
func (e *Encoding) encode(f *Frame) []byte {
	if e.Append != nil {
		return e.Append(nil, f)
	}
	header := e.Header(make([]byte, 0, headroom+len(f.JSON)), len(f.JSON))
	return append(header, f.JSON...)
}
