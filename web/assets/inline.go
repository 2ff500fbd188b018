package assets

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
)

// An Inlined is an asset that stands in a page itself, so that page and asset are always of one
// version, also while a new one is rolled out and each request may reach another instance.
type Inlined struct {
	Text string
	// Hash allows it in a Content-Security-Policy: 'sha256-…'.
	Hash string
}

// Inline returns a script or a style sheet for a page below a base path, like "/push". Other files that
// it names are named by their full path. It panics when there is no such asset, as [Path] does.
func Inline(name, base string) Inlined {
	Path(name)
	body := load().byName[name].body
	for _, f := range load().byName {
		body = bytes.ReplaceAll(body, []byte("url("+f.hashed+")"), []byte("url("+base+Prefix+f.hashed+")"))
	}
	sum := sha256.Sum256(body)
	return Inlined{string(body), "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"}
}
