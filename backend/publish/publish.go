package publish

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/zonecast/zonecast/backend/wire"
)

// maxAnswerBytes bounds the answer to a single publish: a position, or a problem with its
// sentences.
const maxAnswerBytes = 64 << 10

// BroadcastToWarehouse publishes an event to the room of a whole warehouse. Its bounds are those of
// [Retry] alone; where a caller may lose patience earlier, use [Client.Publish].
func (c *Client) BroadcastToWarehouse(warehouse, event string, data any) error {
	_, err := c.Publish(context.Background(), Message{Warehouse: warehouse, Event: event, Data: data})
	return err
}

// BroadcastToZone publishes an event to the room of one zone, within the same bounds as
// [Client.BroadcastToWarehouse]. An empty zone is an error and not the whole warehouse.
func (c *Client) BroadcastToZone(warehouse, zone, event string, data any) error {
	if zone == "" {
		return fmt.Errorf("publish %.*q: %w", wire.MaxEventLen, event, wire.Errorf(wire.CodeInvalidRoom,
			"zone is missing: name one, or use BroadcastToWarehouse"))
	}
	_, err := c.Publish(context.Background(), Message{Warehouse: warehouse, Zone: zone, Event: event, Data: data})
	return err
}

// Publish publishes one message and returns its room and offset. It blocks until the server has
// accepted or refused the message or the bounds of ctx and [Retry] are reached. The error wraps an
// *[Error] when the server refused it, a *wire.Error when it was not sent because it is malformed,
// and ctx's error when that ended it.
func (c *Client) Publish(ctx context.Context, m Message) (Result, error) {
	e, err := seal(m)
	if err != nil {
		return Result{}, fmt.Errorf("publish %.*q: %w", wire.MaxEventLen, m.Event, err)
	}
	url, body := c.base+path(e.room), e.appendBody(nil)
	var result Result
	err = c.retrying(ctx, func(ctx context.Context) error {
		answer, err := c.post(ctx, url, body, e.key, maxAnswerBytes)
		if err != nil {
			return err
		}
		var p wire.Position
		if err := json.Unmarshal(answer, &p); err != nil {
			return notZonecast(err)
		}
		result, err = e.result(p)
		return err
	})
	if err != nil {
		return Result{}, fmt.Errorf("publish %s to %s: %w", e.event, e.room, err)
	}
	return result, nil
}

// post sends one request and returns the body of the answer if that is 200, of at most limit bytes.
// The error is an *[Error], or a *networkError when another attempt may bring an answer.
func (c *Client) post(ctx context.Context, url string, body []byte, key string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", "zonecast-publish")
	if c.auth != "" {
		req.Header.Set("Authorization", c.auth)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		var untrusted *tls.CertificateVerificationError
		if errors.As(err, &untrusted) {
			return nil, err // the next attempt would meet the same certificate
		}
		return nil, &networkError{err}
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case res.StatusCode != http.StatusOK:
		return nil, readError(res, answer) // the status is the answer, even when the body broke off
	case err != nil:
		return nil, &networkError{fmt.Errorf("read the answer: %w", err)}
	case int64(len(answer)) > limit:
		return nil, fmt.Errorf("the answer is larger than %d bytes: is this URL a Zonecast server?", limit)
	}
	return answer, nil
}

func notZonecast(err error) error {
	return fmt.Errorf("the answer is not Zonecast's (is this URL right?): %w", err)
}
