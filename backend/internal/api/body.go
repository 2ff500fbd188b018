package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"

	"github.com/zonecast/zonecast/backend/wire"
)

// decodeBody reads a request's body. The error is a *wire.Error that says where the mistake is.
func decodeBody(p []byte, into any) error {
	if len(bytes.TrimSpace(p)) == 0 {
		return wire.Errorf(wire.CodeInvalidData, `the body is empty: send {"event":"…","data":…}`)
	}
	err := json.Unmarshal(p, into)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil && bytes.TrimSpace(p)[0] == '{':
		return nil
	case errors.As(err, &syntax):
		return wire.Errorf(wire.CodeInvalidData, "the body is not JSON: %v, at byte %d", syntax, syntax.Offset)
	case errors.As(err, &kind) && kind.Field != "":
		return wire.Errorf(wire.CodeInvalidData, "%s is a JSON %s: it must be %s", kind.Field, kind.Value, jsonName(kind.Type))
	}
	return wire.Errorf(wire.CodeInvalidData, `the body must be a JSON object, like {"event":"…","data":…}`)
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
