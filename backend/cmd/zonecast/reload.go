package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// catchHangup takes SIGHUP, for the rest of the process's life: it reloads, and never ends a server
// that is starting or leaving.
func catchHangup() <-chan os.Signal {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	return hangup
}

// reloadOnHangup reads the files of keys and certificates again on SIGHUP, and opens that of the audit
// log again, until ctx ends.
func (s *server) reloadOnHangup(ctx context.Context) {
	for {
		select {
		case <-s.hangup:
			s.audit.Reopen()
			s.guard.Reload()
			if s.certs != nil {
				s.certs.Reload()
			}
		case <-ctx.Done():
			return
		}
	}
}
