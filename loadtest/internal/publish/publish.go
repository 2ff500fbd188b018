// Package publish sends a run's messages through the HTTP API, as a warehouse's services do: with keep-alive connections,
// one request a message, and no second attempt, so that each request stands for exactly one message.
package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/problem"
)

// Timeout is how long one publish may take.
const Timeout = 10 * time.Second

// MaxAnswerBytes is how much of an answer is read.
const MaxAnswerBytes = 64 << 10

// Options say where to publish what.
type Options struct {
	// Bases are the addresses of the instances, like http://127.0.0.1:3001, without the API's path.
	Bases []string
	Room  wire.Room
	Event string
	// Key is shown as the service's API key, if it is not empty.
	Key string
	// Connections is how many connections are kept open to each instance.
	Connections int
}

// A Client publishes to one room. It is safe for use by several goroutines at once.
type Client struct {
	http      *http.Client
	endpoints []string
	header    http.Header
	head      string // of a body, up to the data
}

// New returns a client. Close ends it.
func New(o Options) *Client {
	c := &Client{
		http: &http.Client{
			Timeout: Timeout,
			Transport: &http.Transport{
				MaxIdleConnsPerHost: o.Connections,
				DisableCompression:  true,
				// Shorter than servers wait, or a rare message would meet a connection that is just being closed.
				IdleConnTimeout: 20 * time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {"zonecast-loadtest"}},
		head:   fmt.Sprintf(`{"event":%q,"data":`, o.Event),
	}
	if o.Key != "" {
		c.header.Set("Authorization", "Bearer "+o.Key)
	}
	for _, base := range o.Bases {
		c.endpoints = append(c.endpoints, base+Path(o.Room))
	}
	return c
}

// Path returns the path at which the API takes events for a room.
func Path(r wire.Room) string {
	path := "/api/v1/warehouses/" + url.PathEscape(r.Warehouse)
	if r.Zone != "" {
		path += "/zones/" + url.PathEscape(r.Zone)
	}
	return path + "/broadcast"
}

// Publish sends one event with this data to endpoint number i, counted around. The error is a [*problem.Status] when the
// server answered with anything but 200; whether the message was published is not known after any other error.
func (c *Client) Publish(ctx context.Context, i int, data []byte) error {
	body := make([]byte, 0, len(c.head)+len(data)+1) // not reused: the transport may still read it after an early answer
	body = append(append(append(body, c.head...), data...), '}')
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoints[i%len(c.endpoints)], bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = c.header.Clone()
	resp, err := c.http.Do(req)
	if err != nil {
		return cause(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswerBytes)) // to its end, or the connection is not used again
	if resp.StatusCode != http.StatusOK {
		return problem.New(resp.StatusCode, answer)
	}
	return err
}

// cause takes the request's address off an error: it is the same for all of them.
func cause(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }
