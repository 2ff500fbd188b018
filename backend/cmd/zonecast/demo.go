package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/demo"
	"github.com/zonecast/zonecast/backend/publish"
)

// demoCommand serves and publishes to itself, through the public API like any service.
type demoCommand struct {
	config.Config
	Speed   float64 `env:"DEMO_SPEED" default:"30" help:"Seconds that pass on the floor in one real second: 1 is real time, 60 an hour a minute."`
	Seed    uint64  `env:"DEMO_SEED" default:"1" help:"Chooses the day: the same seed gives the same day."`
	Clients int     `env:"DEMO_CLIENTS" default:"120" help:"Screens and handhelds that connect and look on, some of them away at any time; 0 for none."`
	To      string  `env:"DEMO_TO" placeholder:"URL" help:"Publish to a server that runs already, with the first of --publish-keys, instead of serving."`
}

// Run is called by kong.
func (c *demoCommand) Run(ctx context.Context, stdout io.Writer, settings reader) error {
	if err := c.check(); err != nil {
		return &startError{err}
	}
	if c.To != "" {
		return c.play(ctx, c.To)
	}
	s, err := start(ctx, &c.Config, settings)
	if err != nil {
		return err
	}
	if c.LogFormat == "text" {
		fmt.Fprintf(stdout, `Zonecast %s is at %[2]s, with a simulated shift

  a screen      %[2]s/screen/warehouse-1/zone-a
  the dashboard %[3]s/ui/

`, version, s.url(), s.adminURL())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var playing sync.WaitGroup
	var played error
	playing.Go(func() {
		if played = c.play(ctx, s.url()); played != nil {
			cancel()
		}
	})
	err = s.run(ctx)
	cancel()
	playing.Wait()
	return errors.Join(err, played)
}

// check reports all mistakes at once.
func (c *demoCommand) check() error {
	if c.To == "" {
		err := c.Config.Check()
		if c.HasTLS() {
			err = errors.Join(err, errors.New("the demo can't verify its own certificate: leave TLS_CERT_FILE out, or serve, and use --to with its name"))
		}
		if !strings.Contains(c.Listen, ":") || strings.HasPrefix(c.Listen, "unix:") {
			err = errors.Join(err, errors.New("the demo's clients connect over TCP: begin LISTEN with host:port"))
		}
		if len(c.PublishKeys) == 0 && (c.NeedsToken() || c.HasPublishKeys()) {
			err = errors.Join(err, errors.New("the demo needs a key to publish with: set PUBLISH_KEYS beside AUTH_TOKEN_SECRET"))
		}
		if c.Clients > 0 && c.NeedsToken() && c.SigningSecret() == "" {
			err = errors.Join(err, errors.New("the demo's clients need AUTH_TOKEN_SECRET to make their tokens: set it, or --clients 0"))
		}
		return err
	}
	if c.RedisURL != "" {
		return errors.New("--to and --redis-url don't go together: the server at --to knows its own Redis")
	}
	return nil // LISTEN, which the image sets, has no effect
}

func (c *demoCommand) play(ctx context.Context, url string) error {
	key := ""
	if len(c.PublishKeys) > 0 {
		key = c.PublishKeys[0]
	}
	client, err := publish.New(url, publish.WithAPIKey(key))
	if err != nil {
		return &startError{fmt.Errorf("--to: %w", err)}
	}
	log := newLog(&c.Config, new(slog.LevelVar))
	together, ctx := errgroup.WithContext(ctx)
	together.Go(func() error { return demo.RunCrowd(ctx, c.crowd(url, log)) })
	together.Go(func() error {
		return demo.Run(ctx, demo.Options{Publisher: client, Logger: log, Seed: c.Seed, Speed: c.Speed})
	})
	if err := together.Wait(); err != nil {
		return &startError{err}
	}
	return nil
}

// crowd are those who look on. They make their own tokens where the server wants some, since they
// know its secret.
func (c *demoCommand) crowd(url string, log *slog.Logger) demo.CrowdOptions {
	o := demo.CrowdOptions{URL: url, Clients: c.Clients, Seed: c.Seed, Speed: c.Speed, Logger: log}
	if secret := c.SigningSecret(); secret != "" {
		o.Token = func(user string) (string, error) {
			claims := tokenClaims(&c.Config, user, time.Hour)
			claims["warehouses"] = []string{"*"}
			return auth.Sign([]byte(secret), claims)
		}
	}
	return o
}
