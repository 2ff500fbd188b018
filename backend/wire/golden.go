package wire

import _ "embed"

// Golden is testdata/golden.json: frames of the protocol with what they mean, and names, offsets
// and cursors that are valid or not. Clients and servers in any language are held to it.
//
//go:embed testdata/golden.json
var Golden []byte
