package config

import (
	"errors"
	"time"
)

// RedisStart has the settings of the time before Redis can be used.
type RedisStart struct {
	RedisWait time.Duration `env:"REDIS_WAIT" default:"30s" help:"How long to wait at the start for a Redis that is not there, does not answer, or loads its data; 0s = not at all. What is wrong with the settings is reported at once."`
}

func (r *RedisStart) check() error {
	if r.RedisWait < 0 || r.RedisWait > time.Hour {
		return errors.New("--redis-wait must be from 0s to 1h")
	}
	return nil
}
