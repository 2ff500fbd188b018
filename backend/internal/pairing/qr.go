package pairing

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// A QR is a QR code as the path of an SVG: a unit is a module.
type QR struct {
	Size int    `json:"size"` // with the quiet zone around it
	Path string `json:"path"` // its dark modules
}

// quiet is how many modules around a code are light (ISO/IEC 18004 section 6.3.8).
const quiet = 4

// NewQR returns the QR code of a text of up to 500 bytes or so.
func NewQR(text string) (QR, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return QR{}, fmt.Errorf("make the QR code of %d bytes: %w", len(text), err)
	}
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			}
		}
	}
	return QR{Size: code.Size + 2*quiet, Path: path.String()}, nil
}
