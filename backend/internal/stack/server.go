package stack

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// A Server is a process that answers HTTP: an instance of zonecast, nginx or Prometheus.
type Server struct {
	*Process
	// Address is its host and port, URL the same as http://…; both stay when it is started again.
	Address, URL string
}

// WebSocket is the URL of its WebSocket endpoint, or of the one behind it.
func (s *Server) WebSocket() string { return "ws://" + s.Address + "/ws" }

// startHTTP starts a server, which is ready once it answers 200 at a path. The recipe needs no more
// than the server's name, its arguments or environment, and what differs from other servers.
func (s *Stack) startHTTP(ctx context.Context, at place, path string, r recipe) (*Server, error) {
	server := &Server{Address: at.port.address()}
	server.URL = "http://" + server.Address
	r.path, r.dir = at.path, at.dir
	r.ready = func(ctx context.Context) error { return answersOK(ctx, server.URL+path) }
	process, err := s.start(ctx, r)
	if err != nil {
		return nil, err
	}
	server.Process = process
	return server, nil
}

func (s *Stack) startInstance(ctx context.Context, number int) (*Server, error) {
	binary, err := filepath.Abs(s.options.Binary)
	if err != nil {
		return nil, err
	}
	port, err := s.hold()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("backend-%d", number)
	env := []string{"LISTEN=" + port.address(), "NODE_NAME=" + name}
	for name, value := range map[string]string{"REDIS_URL": s.RedisURL, "REDIS_CA_FILE": s.RedisCAFile,
		"REDIS_CERT_FILE": s.RedisCertFile, "REDIS_KEY_FILE": s.RedisKeyFile} {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.options.Settings)) {
		env = append(env, key+"="+s.options.Settings[key])
	}
	return s.startHTTP(ctx, place{path: binary, dir: s.dir, port: port}, "/readyz", recipe{
		name:     name,
		env:      env,
		graceful: 30 * time.Second, // longer than DRAIN_TIMEOUT, as in docker-compose.yml
	})
}

// startNginx starts the stack's front door.
func (s *Stack) startNginx(ctx context.Context) (*Server, error) {
	text, err := s.source("nginx.conf")
	if err != nil {
		return nil, err
	}
	at, err := s.place("nginx", "nginx")
	if err != nil {
		return nil, err
	}
	place := NginxPlace{Listen: at.port.address(), Backends: s.backends(), Dir: at.dir}
	if s.options.LogDir != "" {
		place.Logs = filepath.Join(s.options.LogDir, "nginx")
		if err := os.MkdirAll(place.Logs, 0o755); err != nil {
			return nil, err
		}
	}
	if s.options.TLS {
		if place.TLS, err = s.prepareNginxTLS(at.dir); err != nil {
			return nil, err
		}
	}
	text, err = RewriteNginx(text, place)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(at.dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	server, err := s.startHTTP(ctx, at, "/livez", recipe{
		name: "nginx",
		// -e: the error log until the configuration is read, which only root could open.
		args: []string{"-p", at.dir, "-c", config, "-e", filepath.Join(at.dir, "error.log"), "-g", "daemon off;"},
		// The master ends its workers on SIGTERM. SIGKILL would leave them behind.
		orphaned: syscall.SIGTERM,
	})
	if err != nil {
		return nil, fmt.Errorf("%w\n(%s)", err, config)
	}
	return server, nil
}

// prepareNginxTLS writes the file that makes nginx speak TLS.
func (s *Stack) prepareNginxTLS(dir string) (path string, err error) {
	text, err := s.source("deploy", "nginx-tls.conf")
	if err != nil {
		return "", err
	}
	ca, certificate, key, err := s.certificate()
	if err != nil {
		return "", fmt.Errorf("make certificates: %w", err)
	}
	port, err := s.hold()
	if err != nil {
		return "", err
	}
	if text, err = RewriteNginxTLS(text, port.address(), certificate, key); err != nil {
		return "", err
	}
	s.NginxTLS, s.NginxCA = "https://"+port.address(), ca
	path = filepath.Join(dir, "tls.conf")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// startPrometheus starts what scrapes the instances and evaluates the repository's rules.
func (s *Stack) startPrometheus(ctx context.Context) (*Server, error) {
	at, err := s.place("prometheus", "prometheus")
	if err != nil {
		return nil, err
	}
	config, err := s.source("deploy", "prometheus", "prometheus.yml")
	if err != nil {
		return nil, err
	}
	if config, err = rewritePrometheus(config, at.port.address(), s.backends()); err != nil {
		return nil, err
	}
	rules, err := s.source("deploy", "prometheus", "rules.yml")
	if err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"prometheus.yml": config, "rules.yml": rules} {
		if err := os.WriteFile(filepath.Join(at.dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return s.startHTTP(ctx, at, "/-/ready", recipe{name: "prometheus", args: []string{
		"--config.file=" + filepath.Join(at.dir, "prometheus.yml"),
		"--storage.tsdb.path=" + filepath.Join(at.dir, "data"),
		"--web.listen-address=" + at.port.address(),
		"--log.level=warn",
		"--enable-feature=exemplar-storage", // as docker-compose.yml
	}})
}
