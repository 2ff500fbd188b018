package config

import (
	"fmt"
	"os"
	"path/filepath"
)

// Audit has the settings of the audit log.
type Audit struct {
	AuditLog string `env:"AUDIT_LOG" placeholder:"FILE" help:"File that a line of JSON is appended to for each change by an operator and each failed login; opened again when it was renamed, and on SIGHUP. While it can't be written, operators can change nothing. Default, and with -: the process's log alone. GET /api/v1/audit lists the latest either way."`
}

// AuditFile is the file of the audit log; empty for none.
func (a *Audit) AuditFile() string {
	if a.AuditLog == "-" {
		return ""
	}
	return a.AuditLog
}

func (a *Audit) check() error {
	if a.AuditFile() == "" {
		return nil
	}
	info, err := os.Stat(a.AuditFile())
	switch {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("AUDIT_LOG %s is no regular file: name one, or - for the process's log alone", a.AuditFile())
	case err == nil:
		return nil
	}
	if info, err = os.Stat(filepath.Dir(a.AuditFile())); err != nil || !info.IsDir() {
		return fmt.Errorf("AUDIT_LOG %s is in no directory that there is: make it, or name another file", a.AuditFile())
	}
	return nil
}
