package main

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// receiveBufferBytes holds many frames and small publications; a larger body takes more round
// trips.
const receiveBufferBytes = 32 << 10

// answerTimeout is how long a client may take to take an answer, from its first byte on.
const answerTimeout = 30 * time.Second

// timeAnswers bounds how long a client may take to take an answer. Streams see to theirs by
// themselves: they write past c.Response, or set a deadline for each event.
func timeAnswers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		connection := http.NewResponseController(c.Response().Writer)
		c.Response().Before(func() {
			_ = connection.SetWriteDeadline(time.Now().Add(answerTimeout)) // where it can't be set there is no connection
		})
		return next(c)
	}
}
