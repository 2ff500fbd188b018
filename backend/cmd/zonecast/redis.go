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

// An unavailableError is why Redis can't be used yet: a start may succeed later.
type unavailableError struct{ error }

// awaitRedis finds Redis, and waits for one that is not there yet, for REDIS_WAIT: the error is an
// unavailableError when it was not there in time. It returns nil without REDIS_URL. Nothing listens
// meanwhile: whoever connects is refused, and goes elsewhere.
func (s *server) awaitRedis(ctx context.Context) (*redisconn.Target, error) {
	if s.config.RedisURL == "" {
		return nil, nil
	}
	var logged time.Time
	for over := time.Now().Add(s.config.RedisWait); ; {
		target, err := redisconn.Find(ctx, redisOptions(s.config, s.log))
		if err == nil { // a cluster may answer before it serves
			err = target.CheckFormat(ctx, s.config.RedisPrefix)
		}
		switch {
		case err == nil:
			return target, nil
		case !redisconn.IsTemporary(err) || ctx.Err() != nil:
			return nil, err
		case !time.Now().Before(over) && s.config.RedisWait > 0:
			return nil, &unavailableError{fmt.Errorf("%w (waited %v: REDIS_WAIT)", err, s.config.RedisWait)}
		case s.config.RedisWait == 0:
			return nil, &unavailableError{err}
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
