package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// members yields the name and the raw value of each member of an object, in its order, without
// decoding the values. p is one valid JSON value; of any other than an object it yields nothing.
func members(p []byte) iter.Seq2[[]byte, json.RawMessage] {
	return func(yield func([]byte, json.RawMessage) bool) {
		i := skipSpace(p, 0)
		if i == len(p) || p[i] != '{' {
			return
		}
		for i = skipSpace(p, i+1); p[i] != '}'; {
			end := skipString(p, i)
			name := unquoted(p[i:end])
			i = skipSpace(p, skipSpace(p, end)+1) // the colon
			end = skipValue(p, i)
			if !yield(name, p[i:end:end]) {
				return
			}
			if i = skipSpace(p, end); p[i] == ',' {
				i = skipSpace(p, i+1)
			}
		}
	}
}

func skipSpace(p []byte, i int) int {
	for i < len(p) && (p[i] == ' ' || p[i] == '\t' || p[i] == '\n' || p[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the end of the string that begins at i.
func skipString(p []byte, i int) int {
	for i++; p[i] != '"'; i++ {
		if p[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue returns the end of the value that begins at i.
func skipValue(p []byte, i int) int {
	if p[i] == '"' {
		return skipString(p, i)
	}
	if p[i] != '{' && p[i] != '[' {
		for i < len(p) && !strings.ContainsRune(",]} \t\r\n", rune(p[i])) {
			i++
		}
		return i
	}
	for depth := 0; ; {
		switch p[i] {
		case '"':
			i = skipString(p, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
}

// unquoted returns the text of a JSON string.
func unquoted(p []byte) []byte {
	if bytes.IndexByte(p, '\\') < 0 {
		return p[1 : len(p)-1]
	}
	var s string
	_ = json.Unmarshal(p, &s) // it is valid
	return []byte(s)
}

// DecodeObject reads one JSON object into a struct. Its members must be named exactly as the fields
// of the struct, and nothing else may stand there: what is mistyped would be missing without a
// word. A zone that is there has a name. The error is an *[Error] that begins with place, where the
// object stands, like "data": of [CodeInvalidRoom] for a zone, otherwise of [CodeInvalidData].
func DecodeObject(place string, p []byte, into any) error {
	if err := json.Unmarshal(p, into); err != nil {
		return badObject(place, err, into)
	}
	if trimmed := p[skipSpace(p, 0):]; trimmed[0] != '{' {
		return notObject(place, into)
	}
	known := fieldNames(into)
	for name, value := range members(p) {
		switch {
		case !slices.ContainsFunc(known, func(k string) bool { return k == string(name) }):
			return Errorf(CodeInvalidData, "%s has no field %s: write %s", place, quote(string(name)), strings.Join(known, ", "))
		case string(name) == "zone" && (string(value) == "null" || string(value) == `""`):
			return Errorf(CodeInvalidRoom, "%s.zone is %s: name a zone, or leave it out for the room of the whole warehouse", place, value)
		}
	}
	return nil
}

func badObject(place string, err error, into any) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return Errorf(CodeInvalidData, "%s is not JSON: %v at byte %d", place, syntax, syntax.Offset)
	case errors.As(err, &kind) && kind.Field != "":
		// encoding/json names the embedded struct too.
		field := strings.TrimPrefix(kind.Field, "Target.")
		return Errorf(CodeInvalidData, "%s.%s is a JSON %s: it must be %s", place, field, kind.Value, jsonName(kind.Type))
	}
	return notObject(place, into)
}

func notObject(place string, into any) error {
	return Errorf(CodeInvalidData, "%s must be a JSON object with %s", place, strings.Join(fieldNames(into), ", "))
}

// jsonName is what JSON calls a Go type.
func jsonName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a number"
}

var namesOf sync.Map // reflect.Type of a struct → []string

// fieldNames returns the JSON names of the fields of the struct that into points to, in their
// order.
func fieldNames(into any) []string {
	t := reflect.TypeOf(into).Elem()
	if names, ok := namesOf.Load(t); ok {
		return names.([]string)
	}
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	namesOf.Store(t, names)
	return names
}
