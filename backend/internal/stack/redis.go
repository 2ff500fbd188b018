package stack

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
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
	return s.startProgram(ctx, name, secret, &s.Redises, append([]string{config, "--logfile", ""}, args...)...)
}

// startProgram starts redis-server as whatever the arguments make of it, at a port of its own.
func (s *Stack) startProgram(ctx context.Context, name string, secret *secret, list *[]*Redis, args ...string) (*Redis, error) {
	at, err := s.place(name, "redis-server")
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
		name:     name,
		path:     at.path,
		args:     args,
		env:      environment(s.env...),
		dir:      at.dir,
		orphaned: syscall.SIGKILL,
		ready:    r.ping,
	})
	if err != nil {
		return nil, err
	}
	*list = append(*list, r)
	return r, nil
}

// ping fails until Redis takes commands: while it loads its data it answers an error.
func (r *Redis) ping(ctx context.Context) error {
	answer, err := r.Command(ctx, "PING")
	if err == nil && answer != "PONG" {
		return fmt.Errorf("PING was answered %q", answer)
	}
	return err
}

// Command sends one command, given as in redis-cli but without quotes, and returns the answer: a
// text, a number or the first value of a list.
func (r *Redis) Command(ctx context.Context, command string) (string, error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	reader := bufio.NewReader(conn)
	if r.secret != nil {
		if _, err := say(conn, reader, "AUTH "+r.secret.password); err != nil {
			return "", fmt.Errorf("AUTH: %w", err)
		}
	}
	answer, err := say(conn, reader, command)
	if err != nil {
		return "", fmt.Errorf("%s at %s: %w", command, r.Name(), err)
	}
	return answer, nil
}

// Name is the process's name; that of one that was not started yet is empty.
func (r *Redis) Name() string {
	if r.Process == nil {
		return ""
	}
	return r.Process.Name()
}

func (r *Redis) dial(ctx context.Context) (net.Conn, error) {
	if r.secret == nil {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", r.Address)
	}
	d := tls.Dialer{Config: r.secret.client}
	return d.DialContext(ctx, "tcp", r.Address)
}

// say sends one inline command and reads the answer (RESP,
// https://redis.io/docs/latest/develop/reference/protocol-spec).
func say(conn net.Conn, reader *bufio.Reader, command string) (string, error) {
	if _, err := fmt.Fprint(conn, command+"\r\n"); err != nil {
		return "", err
	}
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return "", err
		}
		line = strings.TrimSpace(line)
		if line == "" {
			return "", fmt.Errorf("%s was answered with an empty line", command)
		}
		switch kind, rest := line[0], line[1:]; kind {
		case '+', ':':
			return rest, nil
		case '-':
			return "", fmt.Errorf("answered %s", rest)
		case '$':
			n, err := strconv.Atoi(rest)
			if err != nil || n < 0 {
				return "", err
			}
			p := make([]byte, n)
			if _, err := io.ReadFull(reader, p); err != nil {
				return "", err
			}
			return string(p), nil
		case '*': // the first value follows
			if rest == "0" || rest == "-1" {
				return "", nil
			}
		default:
			return "", fmt.Errorf("answered %q", line)
		}
	}
}
