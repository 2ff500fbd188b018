package sim

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/api"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/chance"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/publishing"
	"github.com/zonecast/zonecast/backend/internal/redisconn"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/poll"
	"github.com/zonecast/zonecast/backend/internal/transport/sse"
	"github.com/zonecast/zonecast/backend/internal/transport/ws"
	"github.com/zonecast/zonecast/backend/wire"
)

// An instance is Zonecast as cmd/zonecast wires it, with the model of Redis and connections of the
// simulated network.
type instance struct {
	name     string
	listener *listener
	pool     *outbox.Pool
	hub      *hub.Hub
	broker   *broker.Redis
	gate     *transport.Gate
	http     *http.Server
	peers    []*peer // of those who connected
	leaving  bool
	running  sync.WaitGroup
	stop     context.CancelFunc
	ended    chan struct{} // closed when nothing of it is left
}

// startInstance returns at once when Redis does not let it start; the error says why.
func startInstance(name string, redis *redisModel, s *Scenario) (*instance, error) {
	in := &instance{name: name, listener: newListener(), ended: make(chan struct{})}
	log := slog.New(slog.DiscardHandler)
	m := metrics.New("simulated")
	in.pool = outbox.NewPool(outbox.Options{Meter: m, MaxQueuedBytes: s.QueuedBytes, Writers: 1,
		BeforeTake: func() { time.Sleep(time.Nanosecond) }}) // the clock moves only when all are at rest
	in.hub = hub.New(hub.Options{Pool: in.pool, Linger: s.Linger, PublishWait: time.Second})
	var err error
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	in.broker, err = broker.OpenRedis(ctx, broker.RedisOptions{Target: redisconn.Over("127.0.0.1:6379", s.Sharded, dialer(redis, name)),
		Limits: broker.Limits{Messages: s.History}, Log: log, Pace: in.hub.WaitForCapacity}, in.hub)
	if err != nil {
		in.pool.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	in.hub.Use(pausedBroker{in.broker})
	guard := auth.New(auth.Options{})
	in.gate = transport.NewGate(transport.Options{Hub: in.hub, Metrics: m, Log: log, Node: name, Guard: guard, MaxFrameBytes: 64 << 10,
		Publisher: publishing.New(publishing.Options{Hub: in.hub, Metrics: m, MaxFrameBytes: 64 << 10}), Heartbeat: 30 * time.Second})
	nobody, err := operator.New(operator.Options{})
	if err != nil {
		panic(err) // it only reads a file, and there is none
	}
	e := echo.New()
	e.HTTPErrorHandler = api.Problem(log)
	routes := access.New(e, nobody)
	e.GET("/ws", ws.New(ws.Options{Gate: in.gate, Pool: in.pool}).Serve)
	in.gate.AddRoutes(routes, "/sse", transport.SSE, sse.New(in.gate, in.pool).Serve)
	in.gate.AddRoutes(routes, "/poll", transport.Poll, poll.New(in.gate, in.pool).Serve)
	api.AddRoutes(routes, api.Options{Monitoring: access.Public, Publisher: in.gate.Publisher, Metrics: m, Log: log, Guard: guard,
		MaxFrameBytes: 64 << 10})
	in.http = &http.Server{Handler: e, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	running, stop := context.WithCancel(context.Background())
	in.stop = stop
	in.running.Go(func() { in.hub.Run(running) })
	in.running.Go(func() { _ = in.http.Serve(in.listener) }) // until it is closed
	return in, nil
}

// A pausedBroker lets whoever subscribes and unsubscribes rest for a while afterwards, now and
// then, as a busy processor does: what happens meanwhile comes between two steps of the hub.
type pausedBroker struct{ *broker.Redis }

func (b pausedBroker) Subscribe(ctx context.Context, room wire.Room) (broker.Snapshot, error) {
	s, err := b.Redis.Subscribe(ctx, room)
	pause()
	return s, err
}

func (b pausedBroker) Unsubscribe(room wire.Room) {
	b.Redis.Unsubscribe(room)
	pause()
}

func pause() {
	if chance.Uint64N(3) == 0 {
		time.Sleep(chance.N(100 * time.Millisecond))
	}
}

// kill cuts all connections at once, as the end of a process does, and lets go of the rest.
func (in *instance) kill(redis *redisModel) {
	in.leaving = true
	redis.killed[in.name] = true
	in.listener.stop()
	for _, p := range in.peers {
		p.cut()
	}
	redis.cutAll(func(c *redisConn) bool { return c.instance == in.name })
	in.close(10 * time.Millisecond)
}

// drain asks all clients to go elsewhere, and then ends.
func (in *instance) drain() {
	in.leaving = true
	in.close(4 * time.Second)
}

func (in *instance) close(grace time.Duration) {
	go func() {
		defer close(in.ended)
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		in.gate.Drain(ctx)
		in.listener.stop()
		_ = in.http.Close() // the connections are cut or drained
		_ = in.broker.Close()
		in.hub.CloseIdleRooms()
		in.stop()
		in.running.Wait()
		in.pool.Close()
	}()
}
