package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/zonecast/zonecast/backend/internal/conformance"
)

// conformanceCommand holds any server to the protocol.
type conformanceCommand struct {
	URL       string        `required:"" placeholder:"URL" help:"The server, like http://127.0.0.1:3001."`
	Token     string        `env:"CONFORMANCE_TOKEN" placeholder:"TOKEN" help:"Token of a client, for a server that needs one."`
	Key       string        `env:"CONFORMANCE_KEY" placeholder:"KEY" help:"Key of a publisher. Default: the token publishes."`
	Warehouse string        `placeholder:"NAME" help:"Warehouse to publish to. Default: one with a random name."`
	Timeout   time.Duration `default:"15s" help:"Maximum time of one check."`
	Only      string        `placeholder:"WORDS" help:"Check only the promises that have these words."`
	JSON      bool          `help:"Write the report as JSON, instead of one line per promise."`
}

// Run is called by kong.
func (c *conformanceCommand) Run(ctx context.Context, stdout io.Writer) error {
	if c.Timeout <= 0 {
		return &startError{fmt.Errorf("--timeout is %v: it must be more than 0s", c.Timeout)}
	}
	tell := func(r conformance.Result) {
		switch {
		case c.JSON:
		case r.Kept:
			fmt.Fprintf(stdout, "kept    %-9s  %s\n", r.Transport, r.Promise)
		default:
			fmt.Fprintf(stdout, "BROKEN  %-9s  %s\n        %s\n", r.Transport, r.Promise, r.Violation)
		}
	}
	report, err := conformance.Run(ctx, conformance.Options{URL: c.URL, Token: c.Token, Key: c.Key, Warehouse: c.Warehouse, Timeout: c.Timeout,
		Only: c.Only}, tell)
	switch {
	case err != nil && report == nil:
		return &startError{err}
	case err != nil:
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	if report.Broken > 0 {
		return fmt.Errorf("%d of %d promises are broken", report.Broken, report.Kept+report.Broken)
	}
	if !c.JSON {
		fmt.Fprintf(stdout, "%s keeps all %d promises.\n", c.URL, report.Kept)
	}
	return nil
}
