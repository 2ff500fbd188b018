package redisconn

import (
	"context"
	"log/slog"
	"net"

	"github.com/redis/go-redis/v9"
)

// Over is one server that is reached by dial, with or without sharded pub/sub. Its connections are
// as many as are asked for.
func Over(address string, sharded bool, dial func(ctx context.Context) (net.Conn, error)) *Target {
	setLogger.Do(func() { redis.SetLogger(libraryLog{slog.New(slog.DiscardHandler)}) })
	return &Target{Sharded: sharded, single: &redis.Options{Addr: address, PoolSize: 256,
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}}
}
