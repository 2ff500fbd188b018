package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zonecast/zonecast/backend/internal/redisconn"
)

const (
	redisPause    = 500 * time.Millisecond // between two attempts to find Redis
	redisLogPause = 5 * time.Second        // between two lines about it
)

// awaitRedis finds Redis, and waits for one that is not there yet, for REDIS_WAIT. It returns nil
// without REDIS_URL. Nothing listens meanwhile: whoever connects is refused, and goes elsewhere.
func (s *server) awaitRedis(ctx context.Context) (*redisconn.Target, error) {
	if s.config.RedisURL == "" {
		return nil, nil
	}
	var logged time.Time
	for over := time.Now().Add(s.config.RedisWait); ; {
		target, err := redisconn.Find(ctx, redisOptions(s.config, s.log))
		switch {
		case err == nil:
			return target, nil
		case !redisconn.IsTemporary(err) || ctx.Err() != nil:
			return nil, err
		case !time.Now().Before(over) && s.config.RedisWait > 0:
			return nil, fmt.Errorf("%w (waited %v: REDIS_WAIT)", err, s.config.RedisWait)
		case s.config.RedisWait == 0:
			return nil, err
		}
		if time.Since(logged) > redisLogPause {
			logged = time.Now()
			s.log.Warn("waiting for Redis", "at_most", time.Until(over).Round(time.Second), "error", err)
		}
		select {
		case <-time.After(redisPause):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}
