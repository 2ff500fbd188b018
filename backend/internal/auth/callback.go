package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/zonecast/zonecast/backend/internal/logging"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// maxCallbacks bounds the requests to the application at once; more wait, for the timeout.
	maxCallbacks = 64
	// maxCallbacksOfOne bounds those for clients of one address, so that nobody takes all of them.
	maxCallbacksOfOne = 16
	// maxDecisions bounds the decisions that are remembered: those that let somebody in, and apart
	// from them those that did not, which strangers can have as many of as they like.
	maxDecisions = 10_000
	// maxAnswerBytes bounds what is read of an answer.
	maxAnswerBytes = 64 << 10
	// retryCallback is after how many ms it makes sense to ask again.
	retryCallback = 2000
)

// CallbackOptions say which application decides who may connect. Without a URL none does.
type CallbackOptions struct {
	URL string
	// Timeout bounds one request (default 3 s).
	Timeout time.Duration
	// CacheFor is for how long a decision counts (default 30 s).
	CacheFor time.Duration
	// OnResult, if not nil, counts: "allowed", "refused", "cached" or "failed".
	OnResult func(result string)
}

// A callback asks an application who someone is and what they may do, for each connect, renewal and
// publish with a token:
//
//	POST URL {"token","address","origin","userAgent","rooms"} ──▶ 200 and the claims, or 401, or 403
//
// Anything else, and no answer in time, lets nobody in. It is safe for concurrent use.
type callback struct {
	options   CallbackOptions
	client    *http.Client
	slots     chan struct{}
	addresses addressSlots
	decisions *lru.Cache[[sha256.Size]byte, decision]
	refusals  *lru.Cache[[sha256.Size]byte, decision]
	asking    singleflight.Group
	log       *slog.Logger // of failures
}

// A decision is what the application said: who it is, or why not.
type decision struct {
	who     *Identity
	err     error
	decided time.Time
}

// A question is what the application is asked. Token is empty for who has none.
type question struct {
	Token     string   `json:"token"`
	Address   string   `json:"address,omitempty"`
	Origin    string   `json:"origin,omitempty"`
	UserAgent string   `json:"userAgent,omitempty"`
	Rooms     []string `json:"rooms"`
}

func newCallback(o CallbackOptions, log *slog.Logger) *callback {
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	if o.CacheFor == 0 {
		o.CacheFor = 30 * time.Second
	}
	if o.OnResult == nil {
		o.OnResult = func(string) {}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = maxCallbacks
	// Not the package's expirable.LRU: nothing ends its goroutine.
	remember := func() *lru.Cache[[sha256.Size]byte, decision] {
		cache, _ := lru.New[[sha256.Size]byte, decision](maxDecisions) // it errs for sizes below 1 only
		return cache
	}
	return &callback{options: o, log: logging.Sampled(log, "application not asked"), slots: make(chan struct{}, maxCallbacks),
		// A redirect would carry the token to an address that nobody configured.
		client: &http.Client{Transport: transport, Timeout: o.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		addresses: addressSlots{waiting: map[string]*addressSlot{}}, decisions: remember(), refusals: remember()}
}

// identify returns who it is that the question is about. The error is a *wire.Error of
// wire.CodeUnauthenticated or wire.CodeForbidden, or, without a decision, wire.CodeUnavailable.
func (c *callback) identify(q question) (*Identity, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(body) // no token is kept
	for _, remembered := range []*lru.Cache[[sha256.Size]byte, decision]{c.decisions, c.refusals} {
		if d, ok := remembered.Get(hash); ok && time.Since(d.decided) < c.options.CacheFor {
			c.options.OnResult("cached")
			return d.fresh()
		}
	}
	d, err, _ := c.asking.Do(string(hash[:]), func() (any, error) {
		d, err := c.ask(q.Address, body)
		d.decided = time.Now()
		switch {
		case err != nil:
		case d.err != nil:
			c.refusals.Add(hash, d)
		default:
			d.who.setDigest(q.Token)
			c.decisions.Add(hash, d)
		}
		return d, err
	})
	if err != nil {
		return nil, err
	}
	return d.(decision).fresh()
}

// fresh returns the decision, unless what it lets in has expired meanwhile.
func (d decision) fresh() (*Identity, error) {
	if d.err == nil && !d.who.until.IsZero() && time.Now().After(d.who.until) {
		return nil, wire.Errorf(wire.CodeUnauthenticated, "the token has expired: get a new one")
	}
	return d.who, d.err
}

// ask asks the application. An error means that it has not decided.
func (c *callback) ask(address string, body []byte) (decision, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.options.Timeout)
	defer cancel()
	if !c.addresses.enter(ctx, address) {
		return decision{}, c.fail(fmt.Errorf("%d requests of the address %s were under way all the time", maxCallbacksOfOne, address))
	}
	defer c.addresses.leave(address)
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return decision{}, c.fail(fmt.Errorf("%d requests were under way all the time", maxCallbacks))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.options.URL, bytes.NewReader(body))
	if err != nil {
		return decision{}, c.fail(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.client.Do(r)
	if err != nil {
		return decision{}, c.fail(err)
	}
	defer answer.Body.Close()
	p, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return decision{}, c.fail(err)
	case len(p) > maxAnswerBytes:
		return decision{}, c.fail(fmt.Errorf("the answer has more than %d bytes", maxAnswerBytes))
	}
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		c.options.OnResult("refused")
		return decision{err: wire.Errorf(wire.CodeUnauthenticated, "the application does not accept this token: get a new one")}, nil
	case http.StatusForbidden:
		c.options.OnResult("refused")
		return decision{err: wire.Errorf(wire.CodeForbidden, "the application does not permit this")}, nil
	default:
		return decision{}, c.fail(fmt.Errorf("the answer is %s: 200 with the claims, 401 or 403 is expected", answer.Status))
	}
	var said claims
	if err := said.UnmarshalJSON(p); err != nil {
		return decision{}, c.fail(fmt.Errorf("the claims in the answer: %w", err))
	}
	who, err := said.identity(TokenOptions{}, time.Now())
	if err != nil {
		return decision{}, c.fail(err)
	}
	if who.IssuedAt.IsZero() {
		who.IssuedAt = time.Now()
	}
	c.options.OnResult("allowed")
	return decision{who: who}, nil
}

// fail logs why there is no decision, and returns the error for the client, which does not tell it.
func (c *callback) fail(err error) error {
	c.options.OnResult("failed")
	c.log.Error("application not asked: nobody is let in without its answer", "setting", "AUTH_URL", "error", logging.WithoutURL(err))
	return &wire.Error{Code: wire.CodeUnavailable, RetryAfter: retryCallback,
		Message: "the application that decides who may connect does not answer: try again later"}
}

// addressSlots hold the requests for one address to [maxCallbacksOfOne]; the others wait for them.
type addressSlots struct {
	mu      sync.Mutex
	waiting map[string]*addressSlot
}

type addressSlot struct {
	taken chan struct{}
	users int // that hold the slot or wait for it
}

// enter waits for a slot, and reports whether there was one before ctx ended. Then leave has to
// follow.
func (s *addressSlots) enter(ctx context.Context, address string) bool {
	s.mu.Lock()
	slot := s.waiting[address]
	if slot == nil {
		slot = &addressSlot{taken: make(chan struct{}, maxCallbacksOfOne)}
		s.waiting[address] = slot
	}
	slot.users++
	s.mu.Unlock()
	select {
	case slot.taken <- struct{}{}:
		return true
	case <-ctx.Done():
		s.release(address)
		return false
	}
}

func (s *addressSlots) leave(address string) {
	s.mu.Lock()
	slot := s.waiting[address]
	s.mu.Unlock()
	<-slot.taken
	s.release(address)
}

func (s *addressSlots) release(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[address].users--; s.waiting[address].users == 0 {
		delete(s.waiting, address)
	}
}
