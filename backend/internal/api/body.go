package api

import (
	"bytes"
	"mime"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/wire"
)

// checkContent refuses a body that is not JSON in UTF-8 as it is (RFC 8259 section 8.1).
func checkContent(h http.Header) error {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != echo.MIMEApplicationJSON {
		return echo.NewHTTPError(http.StatusUnsupportedMediaType, "send the header Content-Type: application/json")
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return echo.NewHTTPError(http.StatusUnsupportedMediaType, "send the body in UTF-8, and the header Content-Type: application/json")
	}
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return echo.NewHTTPError(http.StatusUnsupportedMediaType, "send the body without Content-Encoding: it is not decompressed here")
	}
	return nil
}

// decodeBody reads a request's body. The error is a *wire.Error that says where the mistake is.
func decodeBody(p []byte, into any) error {
	if len(bytes.TrimSpace(p)) == 0 {
		return wire.Errorf(wire.CodeInvalidData, `the body is empty: send {"event":"…","data":…}`)
	}
	return wire.DecodeObject("body", p, into)
}
