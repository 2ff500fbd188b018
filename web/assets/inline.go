package assets

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"sync"
)

// An Inlined is an asset that stands in a page itself, so that page and asset are always of one
// version, also while a new one is rolled out and each request may reach another instance.
type Inlined struct {
	Text string
	// Hash allows it in a Content-Security-Policy: 'sha256-…'.
	Hash string
}

// inlined are those that were asked for, by name and base path. What trusted proxies say is a base
// path too, so there are maxInlined at most: when there would be more, all are forgotten.
var inlined = struct {
	sync.Mutex
	all map[[2]string]Inlined
}{all: map[[2]string]Inlined{}}

const maxInlined = 32

// Inline returns a script or a style sheet for a page below a base path, like "/push". Other files
// that it names are named by their full path. It panics when there is no such asset, as [Path]
// does.
func Inline(name, base string) Inlined {
	Path(name)
	inlined.Lock()
	defer inlined.Unlock()
	key := [2]string{name, base}
	in, ok := inlined.all[key]
	if !ok {
		in = inline(name, base)
		if len(inlined.all) >= maxInlined {
			clear(inlined.all)
		}
		inlined.all[key] = in
	}
	return in
}

func inline(name, base string) Inlined {
	body := load().byName[name].body
	for _, f := range load().byName {
		body = bytes.ReplaceAll(body, []byte("url("+f.hashed+")"), []byte("url("+base+Prefix+f.hashed+")"))
	}
	sum := sha256.Sum256(body)
	return Inlined{string(body), "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"}
}
