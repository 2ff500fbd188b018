package stack

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Redis is the stack's redis-server. Its data outlives a Kill as far as deploy/redis/redis.conf promises.
type Redis struct {
	*Process
	// Address is its host and port; URL is what REDIS_URL takes.
	Address, URL string
}

func (s *Stack) startRedis(ctx context.Context) (*Redis, error) {
	path, err := Program("redis-server")
	if err != nil {
		return nil, err
	}
	port, err := s.hold()
	if err != nil {
		return nil, err
	}
	data, err := s.folder("redis")
	if err != nil {
		return nil, err
	}
	config, err := filepath.Abs(filepath.Join(s.options.Root, "deploy", "redis", "redis.conf"))
	if err != nil {
		return nil, err
	}
	address := port.address()
	process, err := s.start(ctx, recipe{
		name: "redis",
		path: path,
		// The repository's file as it is; what follows it overrides it.
		args: []string{config, "--port", strconv.Itoa(port.number), "--bind", "127.0.0.1",
			"--daemonize", "no", "--pidfile", "", "--logfile", ""},
		env:      environment(),
		dir:      data,
		orphaned: syscall.SIGKILL,
		ready:    func(ctx context.Context) error { return pingRedis(ctx, address) },
	})
	if err != nil {
		return nil, err
	}
	return &Redis{Process: process, Address: address, URL: "redis://" + address + "/0"}, nil
}

// pingRedis fails until Redis takes commands: while it loads its data it answers an error.
func pingRedis(ctx context.Context, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer = strings.TrimSpace(answer); answer != "+PONG" {
		return fmt.Errorf("PING was answered %q", answer)
	}
	return nil
}
