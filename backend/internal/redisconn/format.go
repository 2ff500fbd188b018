package redisconn

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Format is the version of what instances write to Redis: keys, streams and channels. It rises when
// an instance of before would misread what one of now has written.
const Format = 1

// CheckFormat makes sure that what Redis keeps under the prefix is of a format that this instance
// reads, and marks it with its own where nothing is marked: instances of before did not. The error
// says what to do.
func (t *Target) CheckFormat(ctx context.Context, prefix string) error {
	client := t.Client(Tuning{Timeout: timeout, PoolSize: 1})
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	key := prefix + ":format"
	// A Redis that takes no writes now refuses the mark, and still serves: whoever comes next marks
	// it.
	markErr := client.SetArgs(ctx, key, Format, redis.SetArgs{Mode: "NX"}).Err()
	text, err := client.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		var answered redis.Error
		if markErr != nil && !errors.As(markErr, &answered) {
			return fmt.Errorf("mark the format in Redis (%s): %w", key, markErr)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the format in Redis (%s): %w", key, err)
	}
	switch n, err := strconv.Atoi(text); {
	case err != nil:
		return fmt.Errorf("%s in Redis is %.40q, no version of a format: another program uses this prefix; set another REDIS_PREFIX", key, text)
	case n > Format:
		return fmt.Errorf("what Redis keeps under the prefix %s is of format %d, and this version reads up to %d: start the version that wrote it "+
			"or a newer one, or set another REDIS_PREFIX", prefix, n, Format)
	}
	return nil
}
