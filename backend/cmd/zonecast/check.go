package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"text/tabwriter"

	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/redisconn"
)

// checkCommand tells what the settings would do, without serving.
type checkCommand struct {
	config.Config
	Connect bool `help:"Connect to Redis as well."`
}

// checkNamed finds what is wrong with what the settings name: addresses, files of keys, the audit
// log, the URL of Redis and its certificates.
func (c *checkCommand) checkNamed() error {
	options := c.AuthOptions()
	err := errors.Join(options.CheckFiles(), checkListen(c.Listen, "--listen"))
	if c.AdminListen != "" {
		err = errors.Join(err, checkListen(c.AdminListen, "--admin-listen"))
	}
	if name := c.AuditFile(); name != "" {
		if wrong := tryAppend(name); wrong != nil {
			err = errors.Join(err, fmt.Errorf("AUDIT_LOG: %w: name a file that can be written", wrong))
		}
	}
	if c.RedisURL != "" {
		o := redisOptions(&c.Config, nil)
		if o.CertFile == "" || o.KeyFile == "" {
			o.CertFile, o.KeyFile = "", "" // Config.Check reports one without the other
		}
		if wrong := redisconn.Check(o); wrong != nil {
			err = errors.Join(err, fmt.Errorf("REDIS_URL: %w", wrong))
		}
	}
	return err
}

// tryAppend returns what forbids to append to a file, which it leaves as it is; it need not be
// there yet. That it has no folder, or is one, Config.Check reports.
func tryAppend(name string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	switch {
	case errors.Is(err, syscall.EISDIR):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		if err = tryCreate(filepath.Dir(name)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	case err != nil:
		return err
	}
	return f.Close()
}

// tryCreate returns what forbids to make a file in a folder.
func tryCreate(folder string) error {
	f, err := os.CreateTemp(folder, ".zonecast-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// Run is called by kong.
func (c *checkCommand) Run(ctx context.Context, stdout io.Writer) error {
	_, err := c.Connections(descriptors())
	if err := errors.Join(c.Check(), err, c.checkNamed()); err != nil {
		return &startError{err}
	}
	where := c.Listen
	if c.AdminListen != "" {
		where += " and " + c.AdminListen
	}
	fmt.Fprintf(stdout, "The settings are valid. What is exposed on %s, and to whom:\n\n", where)
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tWHO MAY\tSETTING")
	for _, s := range c.Surfaces() {
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Name, s.Who, s.Setting)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	for _, w := range c.Warnings() {
		fmt.Fprintf(stdout, "\nwarning: %s\n", w)
	}
	if !c.Connect {
		return nil
	}
	if c.RedisURL == "" {
		return &startError{errors.New("--connect needs REDIS_URL: set it, or leave --connect out")}
	}
	target, err := redisconn.Find(ctx, redisOptions(&c.Config, nil))
	if err == nil {
		err = errors.Join(target.CheckChannels(ctx, c.RedisPrefix), target.CheckFormat(ctx, c.RedisPrefix))
	}
	if err != nil {
		return &startError{fmt.Errorf("REDIS_URL: %w", err)}
	}
	fmt.Fprintf(stdout, "\nRedis at %s can be used.\n", target)
	return nil
}
