package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/wire"
)

// What is known of each Redis server, which the monitor keeps up to date:
//
//	monitor ── probe, each second ──▶ circuit: open while the server does not answer
//	                              └─▶ clock: how far ahead it is of this machine's
//
// While a circuit is open, publications are refused at once. One that was sent to a server that
// then hangs carries a deadline by the server's own clock, so that it is not carried out once
// nobody waits for it.

// A redisServer is what is known of one server.
type redisServer struct {
	clock   serverClock
	circuit circuit
}

// servers are those that were spoken to, by address.
type servers struct{ all sync.Map }

func (s *servers) at(address string) *redisServer {
	if known, ok := s.all.Load(address); ok {
		return known.(*redisServer)
	}
	known, _ := s.all.LoadOrStore(address, new(redisServer))
	return known.(*redisServer)
}

// keep forgets all servers but these.
func (s *servers) keep(addresses *sync.Map) {
	s.all.Range(func(address, _ any) bool {
		if _, there := addresses.Load(address); !there {
			s.all.Delete(address)
		}
		return true
	})
}

// each calls f for each server.
func (s *servers) each(f func(address string, server *redisServer)) {
	s.all.Range(func(address, server any) bool {
		f(address.(string), server.(*redisServer))
		return true
	})
}

const (
	// probeTimeout bounds each probe, and so how long it takes to know that a server hangs.
	probeTimeout = time.Second
	// probeAgain is between two probes while a circuit is open.
	probeAgain = 250 * time.Millisecond
	// timeoutsToOpen is how many probes in a row have to time out: one may be a hiccup of the
	// server.
	timeoutsToOpen = 2
)

// A circuit is open while a server is known not to answer.
type circuit struct {
	why      atomic.Pointer[error] // nil while it is closed
	timeouts int                   // in a row; owned by the monitor
}

// observe takes the outcome of a probe, and reports whether the circuit opened or closed by it.
// What the server answers, be it an error, keeps the circuit closed.
func (c *circuit) observe(err error) (changed bool) {
	var answered redis.Error
	var network net.Error
	switch {
	case err == nil, errors.As(err, &answered) && !redis.HasErrorPrefix(err, "LOADING"):
		c.timeouts = 0
		return c.why.Swap(nil) != nil
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout(), errors.Is(err, redis.ErrPoolTimeout):
		if c.timeouts++; c.timeouts < timeoutsToOpen {
			return false
		}
	}
	return c.why.Swap(&err) == nil
}

// errCircuit is why a publication was not sent.
type errCircuit struct{ why error }

func (e errCircuit) Error() string { return "not asked, since it does not answer: " + e.why.Error() }

// refuse returns an error while the circuit is open.
func (c *circuit) refuse() error {
	if why := c.why.Load(); why != nil {
		return errCircuit{*why}
	}
	return nil
}

// refuseIfSuspended returns an error while the server that holds a key is known not to answer, or
// not to deliver what is published.
func (b *Redis) refuseIfSuspended(ctx context.Context, key string) error {
	if denied := b.denied.Load(); denied != nil {
		return errCircuit{*denied}
	}
	client, err := b.shard(ctx, key)
	if err != nil {
		return err
	}
	return b.servers.at(client.Options().Addr).circuit.refuse()
}

// PublishingSuspended reports whether publications to a server are refused without asking it.
func (b *Redis) PublishingSuspended() (suspended bool) {
	suspended = b.denied.Load() != nil
	b.servers.each(func(_ string, s *redisServer) { suspended = suspended || s.circuit.refuse() != nil })
	return suspended
}

// observe takes the outcome of a probe of a server.
func (b *Redis) observe(address string, err error) {
	if b.ctx.Err() != nil || !b.servers.at(address).circuit.observe(err) {
		return
	}
	if err != nil {
		b.opts.Log.Error("Redis does not answer: publications are refused until it does", "server", address, "error", err)
		return
	}
	b.opts.Log.Info("Redis answers again: publications are taken", "server", address)
}

// probe asks a server for its time, and takes what follows from the answer.
func (b *Redis) probe(ctx context.Context, client *redis.Client) error {
	ctx, cancel := context.WithTimeout(ctx, min(probeTimeout, b.opts.Timings.Command))
	defer cancel()
	address, sent := client.Options().Addr, time.Now()
	told, err := client.Time(ctx).Result()
	if err == nil {
		b.takeTime(address, sent, told, time.Now())
	}
	if b.opts.OnProbe != nil {
		b.opts.OnProbe(time.Since(sent), err)
	}
	b.observe(address, err)
	return err
}

// A serverClock is how far a server's clock is ahead of this machine's, as far as that can be told
// from outside (RFC 5905 section 8): the server read it at some moment of the round trip.
type serverClock struct {
	known  atomic.Bool
	micros atomic.Int64 // ahead

	mu    sync.Mutex
	error time.Duration // at most; grows with age, since clocks drift
	large bool          // and warned of
}

// clockAging is by what share of the round trip's error an estimate is worth less with each new
// one.
const clockAging = 8

// take takes a measurement.
func (c *serverClock) take(sent, told, received time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	half := received.Sub(sent) / 2
	ahead := told.Sub(sent.Add(half))
	before := c.ahead()
	aged := c.error + c.error/clockAging + time.Microsecond
	// A better one, or one that contradicts: the clock was set.
	if !c.known.Load() || half <= aged || (ahead-before).Abs() > half+aged {
		c.micros.Store(ahead.Microseconds())
		c.error = half
		c.known.Store(true)
		return
	}
	c.error = aged
}

func (c *serverClock) ahead() time.Duration { return time.Duration(c.micros.Load()) * time.Microsecond }

// largeClockOffset is from where on an operator should know: clients compare times, too.
const largeClockOffset = 500 * time.Millisecond

func (b *Redis) takeTime(address string, sent, told, received time.Time) {
	c := &b.servers.at(address).clock
	c.take(sent, told, received)
	c.mu.Lock()
	ahead := c.ahead()
	large := ahead.Abs() > largeClockOffset
	changed := large != c.large
	c.large = large
	c.mu.Unlock()
	switch {
	case changed && large:
		b.opts.Log.Warn("the clocks of this machine and of Redis differ: set them by NTP", "server", address, "redis_ahead", ahead.Round(time.Millisecond))
	case changed:
		b.opts.Log.Info("the clocks of this machine and of Redis agree again", "server", address, "redis_ahead", ahead.Round(time.Millisecond))
	}
}

// ClockOffset returns how far Redis's clock is ahead of this machine's; of several servers the
// largest.
func (b *Redis) ClockOffset() (ahead time.Duration) {
	b.servers.each(func(_ string, s *redisServer) {
		if a := s.clock.ahead(); a.Abs() > ahead.Abs() {
			ahead = a
		}
	})
	return ahead
}

// clockAhead returns how far the clock of the server that holds a room is ahead.
func (b *Redis) clockAhead(ctx context.Context, room wire.Room) time.Duration {
	client, err := b.shard(ctx, b.keysOf(room).meta)
	if err != nil {
		return 0
	}
	return b.servers.at(client.Options().Addr).clock.ahead()
}

// noDeadline is a deadline that is none: the server's clock is not known.
const noDeadline = 0

// deadline is a moment by a server's clock, in microseconds since 1970.
func (b *Redis) deadline(address string, until time.Time) int64 {
	c := &b.servers.at(address).clock
	if !c.known.Load() {
		return noDeadline
	}
	return until.Add(c.ahead()).UnixMicro()
}

// late begins the answer of a script that came after its deadline and did nothing. The server's
// time follows, in microseconds.
const late = "late "

// errLate says that a server had no time for a command until nobody waited for it any more.
var errLate = errors.New("too late: nothing was done")

// retryAfterClockJump reports whether an answer was late by the server's clock alone, which was set
// meanwhile: the time is taken over, and the command can be sent again.
func (b *Redis) retryAfterClockJump(address, answer string, until time.Time) bool {
	text, isLate := strings.CutPrefix(answer, late)
	us, err := parseMicros(text)
	if !isLate || err != nil || !time.Now().Before(until) {
		return false
	}
	now := time.Now()
	b.takeTime(address, now.Add(-probeTimeout), us.Time(), now)
	return true
}

// An echo is a channel of this instance alone, to hear its own publications.
type echo struct {
	channel string
	pubsub  *redis.PubSub // nil until it is subscribed to
	n       int
}

// hearItself publishes, and waits until it arrives: what is stored and never delivered helps
// nobody. A user without rights to the channels is such a case, and all that Redis 7 knows by
// default of a new one.
func (b *Redis) hearItself(e *echo) (err error) {
	ctx, cancel := context.WithTimeout(b.ctx, min(probeTimeout, b.opts.Timings.Command))
	defer cancel()
	defer func() {
		if err != nil && e.pubsub != nil {
			_ = e.pubsub.Close() // the next one is subscribed anew
			e.pubsub = nil
		}
		err = b.opts.Target.ExplainDenied(err, b.opts.Prefix)
	}()
	subscribe, publish := b.client.Subscribe, b.client.Publish
	if b.opts.Target.Sharded {
		subscribe, publish = b.client.SSubscribe, b.client.SPublish
	}
	if e.pubsub == nil {
		e.pubsub = subscribe(ctx, e.channel)
		if _, err := e.pubsub.Receive(ctx); err != nil { // the confirmation
			return err
		}
	}
	e.n++
	token := fmt.Sprint(e.n)
	if err := publish(ctx, e.channel, token).Err(); err != nil {
		return err
	}
	for {
		message, err := e.pubsub.Receive(ctx)
		if err != nil {
			return fmt.Errorf("what is published does not arrive: %w", err)
		}
		if m, ok := message.(*redis.Message); ok && m.Payload == token {
			return nil
		}
	}
}
