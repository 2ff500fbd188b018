package subscribe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// A Kind says what an [Event] is.
type Kind int

const (
	// Message is a published event.
	Message Kind = iota
	// Gap says that the messages after From, up to and including To, are lost for good: fetch fresh
	// state. To may lie behind From, when the server lost its latest messages.
	Gap
	// Conflated says that the messages after From, up to and including To, were each replaced by a
	// newer one, which follows, since the loop was too slow for them. Nothing is missing.
	Conflated
)

// An Event is what happened in a room.
type Event struct {
	Kind Kind
	Room wire.Room
	// Name is the event's name, like "ZONE_UPDATE"; empty for kinds other than Message.
	Name string
	// Offset is the place of the message in its room; the zero Offset for other kinds.
	Offset wire.Offset
	// Time is when the server accepted the message.
	Time time.Time
	// Retained marks a message from before the subscription, which tells the state to begin with.
	// It is no part of the order.
	Retained bool
	// Data is the publisher's JSON. It belongs to the loop.
	Data json.RawMessage
	// From and To bound what a Gap or a Conflated speaks of.
	From, To wire.Offset
}

// A Subscription is that to some rooms. It is made by [New].
type Subscription struct {
	base    string
	rooms   []wire.Room
	http    *http.Client
	token   func(context.Context) (string, error)
	renews  bool // token returns another one after a refusal
	log     *slog.Logger
	backoff backoff

	mu      sync.Mutex
	cursor  wire.Cursor // where the loop stands; rooms without an offset are not in it
	running bool
}

// New returns a subscription to rooms like "warehouse:warehouse-1" or "zone:warehouse-1:zone-a", at
// the server at baseURL, like "https://zonecast.example". It does not contact the server. The error
// names everything that is wrong with the arguments.
func New(baseURL string, rooms []string, opts ...Option) (*Subscription, error) {
	s := &Subscription{http: http.DefaultClient, log: slog.New(slog.DiscardHandler), backoff: backoff{time.Second, 30 * time.Second}}
	base, err := checkBaseURL(baseURL)
	errs := []error{err}
	s.base = base
	seen := map[wire.Room]bool{}
	for _, name := range rooms {
		room, err := wire.ParseRoom(name)
		errs = append(errs, err)
		if !seen[room] {
			seen[room] = true
			s.rooms = append(s.rooms, room)
		}
	}
	switch {
	case len(rooms) == 0:
		errs = append(errs, errors.New(`no room is named: name one, like "zone:warehouse-1:zone-a"`))
	case len(s.rooms) > wire.RoomsPerConnection:
		errs = append(errs, fmt.Errorf("%d rooms are named: a subscription has at most %d", len(s.rooms), wire.RoomsPerConnection))
	}
	for _, opt := range opts {
		errs = append(errs, opt(s))
	}
	s.cursor = slices.DeleteFunc(s.cursor, func(p wire.Place) bool { return !seen[p.Room] })
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return s, nil
}

func checkBaseURL(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		// The text may hold a password that url.Parse would repeat.
		return "", errors.New(`the server's URL can't be read: write it like "https://zonecast.example"`)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
		return "", fmt.Errorf(`the server's URL is %q: write it with http:// or https:// and a host, without user, query and fragment`, u.Redacted())
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// An Option changes how [New] makes a subscription.
type Option func(*Subscription) error

// WithToken sends the token with each request.
func WithToken(token string) Option {
	return func(s *Subscription) error {
		s.token = func(context.Context) (string, error) { return token, nil }
		if token == "" {
			s.token = nil
		}
		return nil
	}
}

// WithTokenFunc asks for a token before each connection, within 10 s. An error of it is a
// connection that failed: it is asked again, with a longer wait each time. The loop ends when the
// server refuses three tokens in a row, or when the function returns an [*Error] whose Code is
// "unauthenticated": nobody is signed in any more.
func WithTokenFunc(token func(context.Context) (string, error)) Option {
	return func(s *Subscription) error {
		s.token, s.renews = token, true
		return nil
	}
}

// WithCursor goes on where another subscription stood, by its [Subscription.Cursor]. Rooms that are
// not among those of [New] are left out.
func WithCursor(cursor string) Option {
	return func(s *Subscription) (err error) {
		s.cursor, err = wire.ParseCursor(cursor)
		return err
	}
}

// WithHTTPClient sends the requests through h: for a proxy, client certificates, or tests. It must
// have no Timeout, which would end each stream.
func WithHTTPClient(h *http.Client) Option {
	return func(s *Subscription) error {
		if h == nil || h.Timeout != 0 {
			return errors.New("the http.Client is nil or has a Timeout, which would end each stream: bound the context instead")
		}
		s.http = h
		return nil
	}
}

// WithLog tells a log of each connection, and why it ended. Tokens are never written.
func WithLog(log *slog.Logger) Option {
	return func(s *Subscription) error {
		if log == nil {
			return errors.New("the logger is nil")
		}
		s.log = log
		return nil
	}
}

// WithBackoff bounds the random wait before try n = 0, 1, 2 … by base × 2ⁿ, at most limit (1 s
// and 30 s unless set).
func WithBackoff(base, limit time.Duration) Option {
	return func(s *Subscription) error {
		if base <= 0 || limit < base {
			return fmt.Errorf("the backoff is %v to %v: it needs 0 < base ≤ limit", base, limit)
		}
		s.backoff = backoff{base, limit}
		return nil
	}
}

// Cursor returns where the loop stands: every event before it was handled. It is text that
// [WithCursor] takes. It may be called at any time, by any goroutine.
func (s *Subscription) Cursor() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursor.String()
}

// at returns where the loop stands in a room; the zero Offset when nothing is known.
func (s *Subscription) at(room wire.Room) wire.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursor.At(room).Offset
}

// joined takes the offset of a room in which the loop stands nowhere yet: what comes is after it.
// It notes how many retained events come first.
func (s *Subscription) joined(p wire.Position) {
	room, err := wire.ParseRoom(p.Room)
	if err != nil {
		return
	}
	at, err := wire.ParsePlace(room, p.Offset)
	if err != nil {
		return
	}
	at.Retained = p.Retained
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.cursor, func(own wire.Place) bool { return own.Room == room }); i >= 0 {
		s.cursor[i].Retained = p.Retained
		return
	}
	s.cursor = append(s.cursor, at)
}

// handled notes what the loop has got.
func (s *Subscription) handled(e Event, to wire.Offset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Retained:
		s.cursor.GotRetained(e.Room)
	case !to.IsZero():
		s.cursor.Move(e.Room, to)
	}
}

// Events returns the events from where the loop stands on. It comes back after each connection that
// broke, for as long as ctx lasts. The last pair has an error: that of ctx, or an [*Error] when the
// server refuses the subscription for good. The event at which the loop is left counts as not
// handled. One loop runs at a time; a second one gets an error.
func (s *Subscription) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if !s.begin() {
			yield(Event{}, errors.New("subscribe: another loop over this subscription is running"))
			return
		}
		defer s.end()
		for try, refusals := 0, 0; ; try++ {
			connected, err := s.connection(ctx, yield)
			switch {
			case errors.Is(err, errStopped):
				return
			case ctx.Err() != nil:
				yield(Event{}, context.Cause(ctx))
				return
			}
			if connected {
				try, refusals = 0, 0
			}
			var refused *Error
			if errors.As(err, &refused) && refused.Code == wire.CodeUnauthenticated {
				refusals++
			}
			if refused != nil && !refused.temporary(s.renews && refusals < maxRefusals) {
				yield(Event{}, refused)
				return
			}
			wait := s.backoff.wait(try, err)
			s.log.Info("connection to Zonecast ended", "error", err, "again", wait)
			if !sleep(ctx, wait) {
				yield(Event{}, context.Cause(ctx))
				return
			}
		}
	}
}

// maxRefusals is how many fresh tokens in a row may be refused.
const maxRefusals = 3

// errStopped says that the loop was left.
var errStopped = errors.New("the loop was left")

func (s *Subscription) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := !s.running
	s.running = true
	return free
}

func (s *Subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
}

// A backoff bounds random waits.
type backoff struct{ base, limit time.Duration }

// wait returns how long to wait after try n = 0, 1, 2 … that ended with err.
func (b backoff) wait(n int, err error) time.Duration {
	bound := b.base
	for i := 0; i < n && bound < b.limit; i++ {
		bound *= 2
	}
	var refused *Error
	if errors.As(err, &refused) && refused.RetryAfter > 0 { // the server has spread its clients itself
		return refused.RetryAfter
	}
	return rand.N(min(bound, b.limit))
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
