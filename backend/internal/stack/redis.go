package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is one redis-server. Its data outlives a Kill as far as deploy/redis/redis.conf promises.
type Redis struct {
	*Process
	// Address is its host and port; URL is what REDIS_URL takes.
	Address, URL string

	secret *secret // of the connection; nil for none
}

// A Kind is a kind of Redis.
type Kind int

const (
	// Single is one server.
	Single Kind = iota
	// Secured is one server that is spoken to over TLS, asks for the other side's certificate, and
	// wants a password.
	Secured
	// Watched is a master with two replicas, and three Sentinels that make one of them the master
	// when it is gone.
	Watched
	// Clustered is a Redis Cluster of three masters with a replica each.
	Clustered
)

func (s *Stack) startRedis(ctx context.Context) error {
	var err error
	if s.options.Clock {
		if s.env, err = s.prepareClock(); err != nil {
			return err
		}
	}
	switch s.options.Kind {
	case Secured:
		err = s.startSecured(ctx)
	case Watched:
		err = s.startWatched(ctx)
	case Clustered:
		err = s.startClustered(ctx)
	default:
		err = s.startSingle(ctx)
	}
	if len(s.Redises) > 0 {
		s.Redis = s.Redises[0]
	}
	return err
}

func (s *Stack) startSingle(ctx context.Context) error {
	r, err := s.startServer(ctx, "redis", nil)
	if err == nil {
		s.RedisURL = r.URL
	}
	return err
}

// startServer starts a redis-server with the repository's configuration and what the arguments
// override of it, and adds it to the stack.
func (s *Stack) startServer(ctx context.Context, name string, secret *secret, args ...string) (*Redis, error) {
	text, err := s.source("deploy", "redis", "redis.conf")
	if err != nil {
		return nil, err
	}
	dir, err := s.folder(name)
	if err != nil {
		return nil, err
	}
	// The repository's file as it is; what follows it overrides it. It is a copy, since Sentinels
	// let a server rewrite its file.
	config := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return s.startProgram(ctx, name, secret, &s.Redises, slices.Concat([]string{config, "--logfile", ""}, args, s.options.RedisArgs)...)
}

// startProgram starts redis-server as whatever the arguments make of it, at a port of its own.
func (s *Stack) startProgram(ctx context.Context, name string, secret *secret, list *[]*Redis, args ...string) (*Redis, error) {
	at, err := s.place(name, s.options.redisProgram())
	if err != nil {
		return nil, err
	}
	address, number := at.port.address(), strconv.Itoa(at.port.number)
	r := &Redis{Address: address, URL: "redis://" + address + "/0", secret: secret}
	listen := []string{"--port", number}
	if secret != nil {
		listen = []string{"--port", "0", "--tls-port", number}
		r.URL = "rediss://:" + secret.password + "@" + address + "/0"
	}
	args = append(args, append(listen, "--bind", "127.0.0.1", "--daemonize", "no", "--pidfile", "")...)
	r.Process, err = s.start(ctx, recipe{
		name:  name,
		path:  at.path,
		args:  args,
		env:   s.env,
		dir:   at.dir,
		ready: r.ping,
	})
	if err != nil {
		return nil, err
	}
	*list = append(*list, r)
	return r, nil
}

// ping fails until Redis takes commands: while it loads its data it answers an error.
func (r *Redis) ping(ctx context.Context) error {
	_, err := r.Command(ctx, "PING")
	return err
}

// Command sends one command, its arguments separated by blanks, and returns the answer: a text, a
// number or the first value of a list.
func (r *Redis) Command(ctx context.Context, command string) (string, error) {
	var args []any
	for _, arg := range strings.Fields(command) {
		args = append(args, arg)
	}
	client := r.client()
	defer client.Close()
	answer, err := client.Do(ctx, args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("%s at %s: %w", command, r.Name(), err)
	}
	if list, ok := answer.([]any); ok {
		answer = append(list, nil)[0]
	}
	if answer == nil {
		return "", nil
	}
	return fmt.Sprint(answer), nil
}

// client returns a client for a few commands: a server that was started again needs a new one.
func (r *Redis) client() *redis.Client {
	options := &redis.Options{
		Addr: r.Address, Protocol: 2, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	}
	if r.secret != nil {
		options.Password, options.TLSConfig = r.secret.password, r.secret.client
	}
	return redis.NewClient(options)
}

// Name is the process's name; that of one that was not started yet is empty.
func (r *Redis) Name() string {
	if r.Process == nil {
		return ""
	}
	return r.Process.Name()
}
