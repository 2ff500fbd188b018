// Package assets holds what Zonecast's pages load besides their HTML: htmx, the style sheets, the
// font, the wall screen's program. Everything is inside the binary; no page asks another host for
// anything.
//
//	dist/ ──go:embed──▶ names with hashes ──▶ Path("htmx.js") in a template
//	(built by `npm run build`, committed)  └─▶ Handler under /assets/, cached by browsers for good
//
// The hash in a name is computed from the embedded bytes when the first page asks for it, so a name
// can never lie about its content and nothing has to be kept in step by hand.
package assets

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"path"
	"strings"
	"sync"
)

// Prefix is the path under which [Handler] expects to be mounted.
const Prefix = "/assets/"

//go:embed dist
var dist embed.FS

// A file is one asset, ready to be sent.
type file struct {
	name        string // as in dist, "htmx.js"
	hashed      string // "htmx.3f9a0c12d4.js"
	contentType string
	body        []byte
	gzipped     []byte // nil where compressing does not pay
	etag        string
}

// library is every asset by its name in dist and by its hashed name.
type library struct {
	byName   map[string]*file
	byHashed map[string]*file
	build    string
}

// load is immutable once computed: it depends on nothing but the embedded bytes.
var load = sync.OnceValue(func() *library { return newLibrary(dist, "dist") })

// Path returns the address of an asset, such as "/assets/htmx.3f9a0c12d4.js" for "htmx.js". It
// panics when there is no such asset: the name stands in a template, so the first test that renders
// it finds the mistake.
func Path(name string) string {
	f, ok := load().byName[name]
	if !ok {
		panic(fmt.Sprintf("assets: no file %q in web/assets/dist: run npm run build in web", name))
	}
	return Prefix + f.hashed
}

// Build identifies the whole set of assets: it changes when any of them changes. Pages that stay
// open for months compare it to learn that a new version of them is there.
func Build() string { return load().build }

// newLibrary reads all files of dir. Style sheets come last, because they name other files, by hash
// too in the end.
func newLibrary(from fs.FS, dir string) *library {
	entries, err := fs.ReadDir(from, dir)
	if err != nil {
		panic("assets: " + err.Error())
	}
	lib := &library{byName: map[string]*file{}, byHashed: map[string]*file{}}
	var sheets []fs.DirEntry
	for _, e := range entries {
		if path.Ext(e.Name()) == ".css" {
			sheets = append(sheets, e)
			continue
		}
		lib.add(e.Name(), mustRead(from, dir, e))
	}
	for _, e := range sheets {
		lib.add(e.Name(), lib.resolve(mustRead(from, dir, e)))
	}
	lib.build = lib.digest(entries)
	return lib
}

func mustRead(from fs.FS, dir string, e fs.DirEntry) []byte {
	body, err := fs.ReadFile(from, path.Join(dir, e.Name()))
	if err != nil {
		panic("assets: " + err.Error())
	}
	return body
}

func (l *library) add(name string, body []byte) {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])[:10]
	ext := path.Ext(name)
	f := &file{
		name:        name,
		hashed:      strings.TrimSuffix(name, ext) + "." + hash + ext,
		contentType: contentType(ext),
		body:        body,
		gzipped:     compress(ext, body),
		etag:        `"` + hash + `"`,
	}
	l.byName[name] = f
	l.byHashed[f.hashed] = f
}

// resolve replaces url(name) in a style sheet by the hashed name. Both live in one folder, so the
// name alone suffices.
func (l *library) resolve(css []byte) []byte {
	for name, f := range l.byName {
		css = bytes.ReplaceAll(css, []byte("url("+name+")"), []byte("url("+f.hashed+")"))
	}
	return css
}

func (l *library) digest(entries []fs.DirEntry) string {
	h := sha256.New()
	for _, e := range entries { // fs.ReadDir sorts
		h.Write([]byte(l.byName[e.Name()].hashed))
	}
	return hex.EncodeToString(h.Sum(nil))[:10]
}

// contentType does not ask the machine's own tables for the types that browsers insist on.
func contentType(ext string) string {
	switch ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".woff2":
		return "font/woff2"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	if t := mime.TypeByExtension(ext); t != "" {
		return t
	}
	return "application/octet-stream"
}

func compress(ext string, body []byte) []byte {
	if ext == ".woff2" { // compressed already
		return nil
	}
	var buf bytes.Buffer
	zw, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		panic("assets: " + err.Error())
	}
	if _, err = zw.Write(body); err == nil {
		err = zw.Close()
	}
	if err != nil {
		panic("assets: " + err.Error()) // a bytes.Buffer takes everything
	}
	if buf.Len() >= len(body) {
		return nil
	}
	return buf.Bytes()
}
