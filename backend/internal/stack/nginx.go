package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Nginx is the stack's front door.
type Nginx struct {
	*Process
	// Address is its host and port, URL the same as http://….
	Address, URL string
	// Config is the path of the rewritten nginx.conf.
	Config string
}

// WebSocket is the URL of the WebSocket endpoint behind it.
func (n *Nginx) WebSocket() string { return "ws://" + n.Address + "/ws" }

func (s *Stack) startNginx(ctx context.Context) (*Nginx, error) {
	text, err := s.source("nginx.conf")
	if err != nil {
		return nil, err
	}
	at, err := s.place("nginx", "nginx")
	if err != nil {
		return nil, err
	}
	config, address := filepath.Join(at.dir, "nginx.conf"), at.port.address()
	text, err = RewriteNginx(text, NginxPlace{Listen: address, Backends: s.backends(), Dir: at.dir})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	url := "http://" + address
	process, err := s.start(ctx, recipe{
		name: "nginx",
		path: at.path,
		// -e: the error log until the configuration is read, which only root could open.
		args: []string{"-p", at.dir, "-c", config, "-e", filepath.Join(at.dir, "error.log"), "-g", "daemon off;"},
		env:  environment(),
		dir:  at.dir,
		// The master ends its workers on SIGTERM. SIGKILL would leave them behind.
		orphaned: syscall.SIGTERM,
		ready:    func(ctx context.Context) error { return answersOK(ctx, url+"/livez") },
	})
	if err != nil {
		return nil, fmt.Errorf("%w\n(%s)", err, config)
	}
	return &Nginx{Process: process, Address: address, URL: url, Config: config}, nil
}
