package stack

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
)

// Prometheus scrapes the instances of the stack and evaluates the repository's rules.
type Prometheus struct {
	*Process
	// Address is its host and port, URL the same as http://….
	Address, URL string
}

func (s *Stack) startPrometheus(ctx context.Context) (*Prometheus, error) {
	at, err := s.place("prometheus", "prometheus")
	if err != nil {
		return nil, err
	}
	address := at.port.address()
	if err := s.writePrometheusConfig(at.dir, address); err != nil {
		return nil, err
	}
	url := "http://" + address
	process, err := s.start(ctx, recipe{
		name: "prometheus",
		path: at.path,
		args: []string{
			"--config.file=" + filepath.Join(at.dir, "prometheus.yml"),
			"--storage.tsdb.path=" + filepath.Join(at.dir, "data"),
			"--web.listen-address=" + address,
			"--log.level=warn",
		},
		env:      environment(),
		dir:      at.dir,
		orphaned: syscall.SIGKILL,
		ready:    func(ctx context.Context) error { return answersOK(ctx, url+"/-/ready") },
	})
	if err != nil {
		return nil, err
	}
	return &Prometheus{Process: process, Address: address, URL: url}, nil
}

func (s *Stack) writePrometheusConfig(dir, listen string) error {
	config, err := s.source("deploy", "prometheus", "prometheus.yml")
	if err != nil {
		return err
	}
	if config, err = rewritePrometheus(config, listen, s.backends()); err != nil {
		return err
	}
	rules, err := s.source("deploy", "prometheus", "rules.yml")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "rules.yml"), []byte(rules), 0o644)
}
