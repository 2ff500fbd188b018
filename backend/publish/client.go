package publish

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultTimeout bounds one attempt: longer than a server under load makes a publisher wait, short
// enough to try a second instance while the event is still news.
const DefaultTimeout = 5 * time.Second

// idleConnections is how many connections to the server stay open between publishes. net/http's two
// are too few for a service that publishes from many goroutines.
const idleConnections = 32

// A Client publishes to one Zonecast server or to a proxy in front of several. It may be used from
// many goroutines. Make one per process with [New]: it keeps connections open.
type Client struct {
	base    string // scheme, host and path prefix, without a slash at the end
	auth    string // the Authorization header, or ""
	http    *http.Client
	retry   Retry
	timeout time.Duration
}

// New returns a client for the server at baseURL, like "http://127.0.0.1:3001" or
// "https://example.com/zonecast". It does not contact the server. The error names everything that
// is wrong with the arguments.
func New(baseURL string, opts ...Option) (*Client, error) {
	c := &Client{http: defaultHTTPClient(), retry: DefaultRetry(), timeout: DefaultTimeout}
	base, err := checkBaseURL(baseURL)
	errs := []error{err}
	c.base = base
	for _, opt := range opts {
		errs = append(errs, opt(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("publish client: %w", err)
	}
	return c, nil
}

func checkBaseURL(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		// The text may hold a password that url.Parse would repeat.
		return "", errors.New(`the server's URL can't be read: write it like "https://zonecast.example"`)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return "", fmt.Errorf(`the server's URL is %q: write it with http:// or https:// and a host`, u.Redacted())
	case u.User != nil:
		return "", errors.New("the server's URL holds a user name: pass the key with WithAPIKey")
	case u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("the server's URL %q has a query or a fragment: leave it out", u.Redacted())
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// defaultHTTPClient shows redirects to the caller: a POST that a redirect turns into a GET would
// publish nothing.
func defaultHTTPClient() *http.Client {
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t = t.Clone()
		t.MaxIdleConnsPerHost = idleConnections
		c.Transport = t
	}
	return c
}

// An Option changes how [New] builds a client.
type Option func(*Client) error

// WithAPIKey sends the key with each request, as "Authorization: Bearer {key}". An empty key sends
// none. The key crosses the network as it is: use https where others can listen.
func WithAPIKey(key string) Option {
	return func(c *Client) error {
		if !isVisibleASCII(key) {
			return errors.New("the API key holds spaces, control characters or letters outside ASCII")
		}
		c.auth = ""
		if key != "" {
			c.auth = "Bearer " + key
		}
		return nil
	}
}

// WithHTTPClient sends the requests through h: for a proxy, client certificates, or tests. Its
// Timeout, if any, applies to each attempt beside [WithTimeout].
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) error {
		if h == nil {
			return errors.New("the http.Client is nil")
		}
		c.http = h
		return nil
	}
}

// WithTimeout bounds one attempt, from connecting to the last byte of the answer, instead of
// [DefaultTimeout].
func WithTimeout(d time.Duration) Option {
	return func(c *Client) error {
		if d <= 0 {
			return fmt.Errorf("the timeout is %v: it must be more than 0", d)
		}
		c.timeout = d
		return nil
	}
}

// WithRetry replaces [DefaultRetry].
func WithRetry(r Retry) Option {
	return func(c *Client) error {
		c.retry = r
		return r.check()
	}
}

func isVisibleASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
