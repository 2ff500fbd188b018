package screen

import (
	"bytes"
	"compress/gzip"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
)

// A recorder counts how often it is written to.
type recorder struct {
	*httptest.ResponseRecorder
	writes int
}

func (r *recorder) Write(p []byte) (int, error) {
	r.writes++
	return r.ResponseRecorder.Write(p)
}

// Strangers may ask for screens, and for what is none, as often as they like: each answer allocates
// about what its bytes are, and is complete before the client takes the first of them.
func TestPagesCostLittle(t *testing.T) {
	h := New(Options{})
	for path, most := range map[string]uint64{"/screen/w/a": 400 << 10, "/screen/w": 400 << 10, "/screen/pair": 400 << 10, "/screen/w/a/b": 50 << 10, "/screen/w/%20": 50 << 10} {
		ask := func() *recorder {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Accept-Encoding", "gzip")
			w := &recorder{ResponseRecorder: httptest.NewRecorder()}
			h.ServeHTTP(w, r)
			return w
		}
		w := ask()
		zr, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, zr); err != nil || w.writes != 1 {
			t.Errorf("%s is written in %d pieces: %v", path, w.writes, err)
		}
		// The least of many: a pool forgets when it likes, and by chance under the race detector.
		least := uint64(math.MaxUint64)
		for range 50 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			ask()
			runtime.ReadMemStats(&after)
			least = min(least, after.TotalAlloc-before.TotalAlloc)
		}
		if least > most {
			t.Errorf("%s allocates %d KiB, want at most %d KiB", path, least>>10, most>>10)
		}
	}
}

// While more is asked for than can be afforded, pages are compressed less, and are all the same.
func TestPagesThatCanNotBeAffordedAreLarger(t *testing.T) {
	var sizes []int
	var pages []string
	for _, affords := range []bool{true, false} {
		h := New(Options{Afford: func(work func()) bool {
			if affords {
				work()
			}
			return affords
		}})
		r, w := httptest.NewRequest(http.MethodGet, "/screen/w", nil), httptest.NewRecorder()
		r.Header.Set("Accept-Encoding", "gzip")
		h.ServeHTTP(w, r)
		sizes = append(sizes, w.Body.Len())
		zr, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(zr)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, string(page))
	}
	if sizes[0] >= sizes[1] || pages[0] != pages[1] {
		t.Errorf("compressed to %d and %d bytes, the pages are the same: %v", sizes[0], sizes[1], pages[0] == pages[1])
	}
}
