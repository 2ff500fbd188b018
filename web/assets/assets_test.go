package assets

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func ask(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func read(t *testing.T, res *http.Response) []byte {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestPathHoldsAHash(t *testing.T) {
	if got := Path("htmx.js"); !regexp.MustCompile(`^/assets/htmx\.[0-9a-f]{10}\.js$`).MatchString(got) {
		t.Errorf("Path = %s", got)
	}
}

func TestPathOfNoAssetPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Path("nothing.js")
}

func TestHandlerCaching(t *testing.T) {
	hashed := Path("htmx.js")
	tests := []struct {
		name, path string
		wantCode   int
		wantCache  string
	}{
		{"its own hash", hashed, 200, "public, max-age=31536000, immutable"},
		{"no hash", "/assets/htmx.js", 200, "no-cache"},
		{"another version's hash", "/assets/htmx.0123456789.js", 404, "no-store"},
		{"unknown", "/assets/jquery.0123456789.js", 404, "no-store"},
		{"the folder", "/assets/", 404, "no-store"},
		{"a way out", "/assets/../assets.go", 404, "no-store"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := ask(t, "GET", tt.path)
			if res.StatusCode != tt.wantCode || res.Header.Get("Cache-Control") != tt.wantCache {
				t.Errorf("got %d %q, want %d %q", res.StatusCode, res.Header.Get("Cache-Control"), tt.wantCode, tt.wantCache)
			}
		})
	}
}

func TestHandlerAnswersNotModified(t *testing.T) {
	tag := ask(t, "GET", Path("htmx.js")).Header.Get("ETag")
	res := ask(t, "GET", Path("htmx.js"), "If-None-Match", tag)
	if res.StatusCode != http.StatusNotModified || len(read(t, res)) != 0 {
		t.Errorf("got %d", res.StatusCode)
	}
}

func TestHandlerCompresses(t *testing.T) {
	plain := ask(t, "GET", Path("htmx.js"))
	packed := ask(t, "GET", Path("htmx.js"), "Accept-Encoding", "br, gzip")
	if packed.Header.Get("Content-Encoding") != "gzip" || packed.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("headers %v", packed.Header)
	}
	zr, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(unpacked, read(t, plain)) {
		t.Error("the compressed form is another file")
	}
	for give, want := range map[string]string{"gzip;q=0": "", "br": "", "": "", "gzip;q=0.5": "gzip"} {
		if got := ask(t, "GET", Path("htmx.js"), "Accept-Encoding", give).Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: got %q, want %q", give, got, want)
		}
	}
	if got := ask(t, "GET", Path("plex-latin.woff2"), "Accept-Encoding", "gzip").Header.Get("Content-Encoding"); got != "" {
		t.Errorf("the font is compressed twice: %s", got)
	}
}

func TestHandlerMethods(t *testing.T) {
	if res := ask(t, "POST", Path("htmx.js")); res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
	res := ask(t, "HEAD", Path("htmx.js"))
	if res.StatusCode != 200 || len(read(t, res)) != 0 || res.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d, Content-Length %s", res.StatusCode, res.Header.Get("Content-Length"))
	}
}

func TestContentTypes(t *testing.T) {
	for give, want := range map[string]string{
		"htmx.js":          "text/javascript; charset=utf-8",
		"dashboard.css":    "text/css; charset=utf-8",
		"mark.svg":         "image/svg+xml",
		"plex-latin.woff2": "font/woff2",
		"plex-license.txt": "text/plain; charset=utf-8",
	} {
		res := ask(t, "GET", Path(give))
		if got := res.Header.Get("Content-Type"); got != want {
			t.Errorf("%s: got %q, want %q", give, got, want)
		}
		if got := res.Header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s may be sniffed", give)
		}
	}
}

// Style sheets name other files: each must be there, by its hash, and none on another host.
func TestStyleSheetsNameHashedFiles(t *testing.T) {
	for _, sheet := range []string{"dashboard.css", "screen.css"} {
		css := read(t, ask(t, "GET", Path(sheet)))
		names := regexp.MustCompile(`url\(([^)]*)\)`).FindAllSubmatch(css, -1)
		if len(names) == 0 {
			t.Errorf("%s names no font", sheet)
		}
		for _, m := range names {
			if res := ask(t, "GET", Prefix+string(m[1])); !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
				t.Errorf("%s names %s, which is no hashed asset", sheet, m[1])
			}
		}
	}
}

func TestBuildChangesWithAnyFile(t *testing.T) {
	files := func(js string) fstest.MapFS {
		return fstest.MapFS{"d/a.js": {Data: []byte(js)}, "d/b.css": {Data: []byte("@font-face{src:url(c.woff2)}")}, "d/c.woff2": {}}
	}
	one, same, other := newLibrary(files("1"), "d"), newLibrary(files("1"), "d"), newLibrary(files("2"), "d")
	if one.build != same.build || one.build == other.build {
		t.Errorf("builds %s, %s, %s", one.build, same.build, other.build)
	}
}

// The client's address without a hash is for pages of any host, and asked for again each time.
func TestTheClientHasAStableAddress(t *testing.T) {
	res := ask(t, http.MethodGet, "/assets/zonecast.js")
	if res.StatusCode != http.StatusOK || res.Header.Get("Cross-Origin-Resource-Policy") != "cross-origin" ||
		res.Header.Get("Cache-Control") != "no-cache" || res.Header.Get("ETag") == "" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	if body := read(t, res); !bytes.Contains(body, []byte("var Zonecast=")) {
		t.Errorf("it begins with %.60s", body)
	}
	if got := ask(t, http.MethodGet, "/assets/screen.js").Header.Get("Cross-Origin-Resource-Policy"); got != "" {
		t.Errorf("another file has %s", got)
	}
}
