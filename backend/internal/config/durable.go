package config

import (
	"errors"
	"time"
)

// Durable has the settings of durable publications.
type Durable struct {
	PublishDurable  bool          `env:"PUBLISH_DURABLE" help:"Treat every publication as durable, as if it said so itself (\"durable\":true). Needs REDIS_URL."`
	DurableDisk     bool          `env:"DURABLE_DISK" default:"true" negatable:"" help:"A durable publication is answered when it is on the disk of Redis, and on the disks of DURABLE_REPLICAS. Needs appendonly yes and Redis 7.2; or appendfsync always, without replicas."`
	DurableReplicas int           `env:"DURABLE_REPLICAS" default:"0" help:"A durable publication is answered when as many replicas of Redis have it: on their disks, or with DURABLE_DISK=false in their memory."`
	DurableTimeout  time.Duration `env:"DURABLE_TIMEOUT" default:"3s" help:"Maximum time that a durable publication waits for Redis after it was accepted. Then it is answered with the error not_durable; it stays published."`
}

func (d *Durable) check(redisURL string) error {
	var errs []error
	if d.PublishDurable && redisURL == "" {
		errs = append(errs, errors.New("--publish-durable needs --redis-url: without Redis everything is kept in memory alone"))
	}
	if d.DurableReplicas < 0 || d.DurableReplicas > 100 {
		errs = append(errs, errors.New("--durable-replicas must be from 0 to 100"))
	}
	if !d.DurableDisk && d.DurableReplicas == 0 {
		errs = append(errs, errors.New("--no-durable-disk leaves nothing to wait for: set --durable-replicas to at least 1"))
	}
	if d.DurableTimeout < 100*time.Millisecond || d.DurableTimeout > 20*time.Second { // a frame may take 30 s
		errs = append(errs, errors.New("--durable-timeout must be from 100ms to 20s"))
	}
	return errors.Join(errs...)
}
