package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// reloadOnHangup reads the files of keys and certificates again on SIGHUP, and opens that of the audit log again, until ctx ends.
func (s *server) reloadOnHangup(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-hangup:
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
