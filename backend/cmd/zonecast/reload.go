package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/filewatch"
	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/transport"
)

// catchHangup takes SIGHUP, for the rest of the process's life: it reloads, and never ends a server
// that is starting or leaving.
func catchHangup() <-chan os.Signal {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	return hangup
}

// A reader reads the settings again, as at the start: flags, environment, and the files they name.
type reader func() (*config.Config, error)

// newReader returns one for a command line.
func newReader(args []string) reader {
	return func() (*config.Config, error) {
		var p program
		command, err := config.Parse(&p, args, kong.Name("zonecast"), kong.Vars{"version": version}, kong.Writers(io.Discard, io.Discard))
		if err != nil {
			return nil, err
		}
		if command.Command() == "demo" {
			return &p.Demo.Config, nil
		}
		return &p.Serve.Config, nil
	}
}

// reloading is what settings can be changed with while the server runs.
type reloading struct {
	read  reader // nil where settings came otherwise
	level *slog.LevelVar

	mu      sync.Mutex
	current config.Config // as given, with the changes since
}

// reloadOnHangup reads all again on SIGHUP, and opens the file of the audit log again, until ctx
// ends. Files are read when they change as well.
func (s *server) reloadOnHangup(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	for setting, path := range s.config.WatchedFiles() {
		f, err := filewatch.Open(filewatch.Options{Setting: setting, Path: path, Log: slog.New(slog.DiscardHandler), Use: func([]byte) error {
			s.reloadSettings(false)
			return nil
		}})
		if err != nil {
			s.log.Warn("changes of the file count on SIGHUP alone", "setting", setting, "error", err)
			continue
		}
		watching.Go(func() { f.Run(ctx) })
	}
	for {
		select {
		case <-s.hangup:
			s.audit.Reopen()
			s.guard.Reload()
			if s.certs != nil {
				s.certs.Reload()
			}
			s.reloadSettings(true)
		case <-ctx.Done():
			return
		}
	}
}

// reloadSettings reads the settings again, puts those in force that can be, and logs in one line
// what changed and what needs a restart; asked says to log also that nothing did. After a mistake
// all stay as they are.
func (s *server) reloadSettings(asked bool) {
	r := &s.reloading
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.read == nil {
		return
	}
	read, err := r.read()
	if err == nil {
		var after *config.Config
		var changed, restart []config.Change
		if after, changed, restart, err = r.current.Reload(read); err == nil {
			s.apply(after)
			r.current = *after
			if asked || len(changed)+len(restart) > 0 {
				s.log.Info("settings reloaded", "changed", list(changed), "need_restart", list(restart))
			}
			if len(changed) > 0 {
				s.recordReload(list(changed), nil)
			}
			return
		}
	}
	err = fmt.Errorf("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	s.log.Error("settings not reloaded: those before stay in force", "error", err)
	s.recordReload("settings", err)
}

func list(all []config.Change) string {
	if len(all) == 0 {
		return "nothing"
	}
	var texts []string
	for _, c := range all {
		texts = append(texts, c.String())
	}
	return strings.Join(texts, ", ")
}

// apply puts settings in force: each one that config has as reloadable.
func (s *server) apply(c *config.Config) {
	s.reloading.level.Set(logLevel(c))
	secrets := slices.Clone(c.AuthTokenSecrets)
	if c.AuthTokenSecret != "" {
		secrets = slices.Insert(secrets, 0, c.AuthTokenSecret)
	}
	s.guard.SetSecrets(secrets)
	s.guard.SetPublishKeys(c.PublishKeys)
	s.gate.SetOrigins(c.AllowedOrigins)
	s.gate.SetLimits(gateLimits(c))
	s.publisher.SetRate(publishRate(c))
}

func gateLimits(c *config.Config) transport.Limits {
	return transport.Limits{
		Connections: c.MaxConnections, ConnectionsPerUser: c.MaxConnectionsPerUser, ReplaceOldest: c.ReplacesOldest(),
		ConnectionsPerAddress: c.MaxConnectionsPerAddress,
		Frames:                limit.Rate{Tokens: c.RateLimitTokens, Refill: c.RateLimitRefill},
		UserFrames:            limit.Rate{Tokens: c.UserRateLimitTokens, Refill: c.UserRateLimitRefill},
		AddressFrames:         limit.Rate{Tokens: c.AddressRateLimitTokens, Refill: c.AddressRateLimitRefill}}
}

func logLevel(c *config.Config) (level slog.Level) {
	_ = level.UnmarshalText([]byte(c.LogLevel)) // one of the four that the configuration permits
	return level
}
