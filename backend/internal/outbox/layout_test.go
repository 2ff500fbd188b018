//go:build amd64 || arm64

package outbox

import (
	"testing"
	"unsafe"
)

// What each message touches stays within three cache lines, of which prefetch reads the first two,
// and a frame costs what its queues are charged for it.
func TestHotFieldsAndChargesHaveTheirSizes(t *testing.T) {
	const line = 64
	var q Queue
	for _, f := range []struct {
		name       string
		begin, end uintptr // where it is, and where it has to end
	}{
		{"fd", unsafe.Offsetof(q.fd), line},
		{"prefixer", unsafe.Offsetof(q.prefixer), line},
		{"sent", unsafe.Offsetof(q.sent), line},
		{"mu", unsafe.Offsetof(q.mu), line},
		{"frames", unsafe.Offsetof(q.frames), 2 * line},
		{"wrote", unsafe.Offsetof(q.wrote), 2 * line},
		{"waiting", unsafe.Offsetof(q.queuedBytes), 2 * line},
		{"state", unsafe.Offsetof(q.state), 2 * line},
		{"closing", unsafe.Offsetof(q.closing), 2 * line},
		{"code", unsafe.Offsetof(q.code), 2 * line},
		{"first", unsafe.Offsetof(q.first) + unsafe.Sizeof(q.first) - 1, 3 * line},
	} {
		if f.begin >= f.end {
			t.Errorf("%s ends at byte %d, want before %d", f.name, f.begin, f.end)
		}
	}
	if first, second := unsafe.Offsetof(q.sent)/line, unsafe.Offsetof(q.wrote)/line; first != 0 || second != 1 {
		t.Errorf("prefetch reads the lines %d and %d, want 0 and 1", first, second)
	}
	if n := unsafe.Sizeof(q); n > 3*line || n <= 3*line-16 { // what Go's allocator makes 192 of
		t.Errorf("a queue has %d bytes, want %d, or a few less: then each begins with a cache line", n, 3*line)
	}
	const texts = 64 // of an Identity
	if n := unsafe.Sizeof(Frame{}) + unsafe.Sizeof(entry{}) + texts; n > frameBytes {
		t.Errorf("a frame costs %d bytes beside its own, and is charged %d", n, frameBytes)
	}
	if n := unsafe.Sizeof(encoded{}); n != encodedBytes {
		t.Errorf("an encoded has %d bytes, encodedBytes is %d", n, encodedBytes)
	}
}
