package subscribe

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// maxEventBytes bounds an event: no server sends one that is near it.
const maxEventBytes = 8 << 20

// A reader reads an event stream (WHATWG HTML section 9.2.6).
type reader struct{ in *bufio.Reader }

func newReader(in io.Reader) reader { return reader{bufio.NewReaderSize(in, 32<<10)} }

// next returns the next event that has data. What was cut off in the middle is none.
func (r reader) next() (name string, data []byte, err error) {
	var lines [][]byte
	for size := 0; ; {
		line, err := r.line()
		if err != nil {
			return "", nil, err
		}
		if size += len(line); size > maxEventBytes {
			return "", nil, fmt.Errorf("an event has more than %d bytes", maxEventBytes)
		}
		if len(line) == 0 {
			if len(lines) > 0 {
				return name, bytes.Join(lines, []byte("\n")), nil
			}
			name = ""
			continue
		}
		field, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			name = value
		case "data":
			lines = append(lines, []byte(value))
		}
	}
}

// line returns the next line without its end.
func (r reader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxEventBytes {
			return nil, fmt.Errorf("a line has more than %d bytes", maxEventBytes)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err == io.EOF {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		return bytes.TrimRight(line, "\r\n"), nil
	}
}
