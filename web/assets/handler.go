package assets

import (
	"net/http"
	"path"
	"strconv"
	"strings"
)

// Handler serves the assets under [Prefix], to GET and HEAD.
//
// A name with the right hash may be kept by the browser for good. A name without a hash gets the
// present content, to be asked for again next time. A name with the hash of another version is not
// found: its page would get another file than it was made for, and keep it. While a new version
// rolls out, a page from one instance may ask another one for its files; a proxy asks the next
// instance then (nginx.conf), and screens ask for none.
func Handler() http.Handler { return handler{load()} }

// client is the TypeScript client for pages without a bundler. Its address without a hash is meant
// to be used.
const client = "zonecast.js"

type handler struct{ *library }

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "assets are read with GET", http.StatusMethodNotAllowed)
		return
	}
	f, exact := h.find(path.Base(r.URL.Path))
	if f == nil {
		w.Header().Set("Cache-Control", "no-store")
		http.NotFound(w, r)
		return
	}
	head := w.Header()
	if exact {
		head.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		head.Set("Cache-Control", "no-cache")
	}
	head.Set("ETag", f.etag)
	head.Set("X-Content-Type-Options", "nosniff")
	if f.name == client { // pages of other hosts load it, if ALLOWED_ORIGINS lets them connect
		head.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	if f.gzipped != nil {
		head.Set("Vary", "Accept-Encoding")
	}
	if strings.Contains(r.Header.Get("If-None-Match"), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.body
	if f.gzipped != nil && AcceptsGzip(r) {
		body = f.gzipped
		head.Set("Content-Encoding", "gzip")
	}
	head.Set("Content-Type", f.contentType)
	head.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		w.Write(body) // a browser that has gone needs no answer
	}
}

// find returns the file and whether the name carries its very hash.
func (h handler) find(name string) (f *file, exact bool) {
	if f = h.byHashed[name]; f != nil {
		return f, true
	}
	return h.byName[name], false
}

// AcceptsGzip reports whether the answer to a request may be compressed.
func AcceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" {
			return strings.ReplaceAll(params, " ", "") != "q=0"
		}
	}
	return false
}
