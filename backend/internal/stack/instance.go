package stack

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// An Instance is one zonecast process.
type Instance struct {
	*Process
	// Address is its host and port, URL the same as http://…; both stay when it is started again.
	Address, URL string
}

// WebSocket is the URL of its WebSocket endpoint.
func (i *Instance) WebSocket() string { return "ws://" + i.Address + "/ws" }

func (s *Stack) startInstance(ctx context.Context, number int) (*Instance, error) {
	binary, err := filepath.Abs(s.options.Binary)
	if err != nil {
		return nil, err
	}
	port, err := s.hold()
	if err != nil {
		return nil, err
	}
	name, address := fmt.Sprintf("backend-%d", number), port.address()
	env := environment("LISTEN="+address, "NODE_NAME="+name)
	for name, value := range map[string]string{"REDIS_URL": s.RedisURL, "REDIS_CA_FILE": s.RedisCAFile,
		"REDIS_CERT_FILE": s.RedisCertFile, "REDIS_KEY_FILE": s.RedisKeyFile} {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.options.Settings)) {
		env = append(env, key+"="+s.options.Settings[key])
	}
	url := "http://" + address
	process, err := s.start(ctx, recipe{
		name:     name,
		path:     binary,
		env:      env,
		dir:      s.dir,
		orphaned: syscall.SIGKILL,
		ready:    func(ctx context.Context) error { return answersOK(ctx, url+"/readyz") },
		graceful: 30 * time.Second, // longer than DRAIN_TIMEOUT, as in docker-compose.yml
	})
	if err != nil {
		return nil, err
	}
	return &Instance{Process: process, Address: address, URL: url}, nil
}
