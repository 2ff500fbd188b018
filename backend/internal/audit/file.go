package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// maxUnwritten is how many lines are kept that the file did not take.
const maxUnwritten = 1000

// complainInterval is how often it is said that the file takes nothing.
const complainInterval = time.Minute

// A file has a line of JSON for each entry.
type file struct {
	name string // static

	mu         sync.Mutex
	opened     *os.File
	torn       bool // it ends within a line
	unwritten  [][]byte
	complained time.Time
}

// write writes a line, after those that could not be written before. What the file does not take
// is kept and said.
func (l *Log) write(line []byte) {
	if l.file == nil {
		return
	}
	f := l.file
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.unwritten) >= maxUnwritten {
		l.opts.OnFailure("file")
		return // the process's log has it
	}
	f.unwritten = append(f.unwritten, append(line, '\n'))
	if err := f.flushLocked(); err != nil {
		l.complainLocked(err)
	}
}

// complainLocked says that the file takes nothing.
func (l *Log) complainLocked(err error) {
	l.opts.OnFailure("file")
	if now := time.Now(); now.Sub(l.file.complained) > complainInterval {
		l.file.complained = now
		l.opts.Log.Error("the audit log can't be written: operators can change nothing until it can", "error", err,
			"unwritten", len(l.file.unwritten))
	}
}

// Ready returns nil if what is done next can be recorded, or a *wire.Error to refuse it with.
func (l *Log) Ready() error {
	if l == nil || l.file == nil {
		return nil
	}
	l.file.mu.Lock()
	defer l.file.mu.Unlock()
	if err := l.file.flushLocked(); err != nil {
		l.complainLocked(err)
		return wire.Errorf(wire.CodeUnavailable, "the audit log can't be written, so nothing was changed: see to AUDIT_LOG at the server")
	}
	return nil
}

// Reopen opens the file again by its name, after it was renamed.
func (l *Log) Reopen() {
	if l == nil || l.file == nil {
		return
	}
	l.file.mu.Lock()
	defer l.file.mu.Unlock()
	l.file.closeLocked()
	if err := l.file.flushLocked(); err != nil {
		l.complainLocked(err)
	}
}

func (l *Log) close() {
	if l.file != nil {
		l.file.mu.Lock()
		defer l.file.mu.Unlock()
		l.file.closeLocked()
	}
}

func (f *file) flush() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flushLocked()
}

// flushLocked opens the file if its name stands for another one than before, and writes what waits.
func (f *file) flushLocked() error {
	if err := f.openLocked(); err != nil {
		return fmt.Errorf("AUDIT_LOG: %w", err)
	}
	for len(f.unwritten) > 0 {
		line := f.unwritten[0]
		if f.torn {
			line = append([]byte{'\n'}, line...)
		}
		n, err := f.opened.Write(line)
		if f.torn = f.torn || n > 0; err != nil {
			return fmt.Errorf("AUDIT_LOG: %w", err)
		}
		f.torn = false
		f.unwritten[0] = nil
		f.unwritten = f.unwritten[1:]
	}
	f.unwritten = nil
	return nil
}

func (f *file) openLocked() error {
	named, err := os.Stat(f.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !named.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file: name one, or - for the process's log alone", f.name)
	case f.opened != nil:
		if info, err := f.opened.Stat(); err == nil && os.SameFile(info, named) {
			return nil
		}
	}
	f.closeLocked()
	f.opened, err = os.OpenFile(f.name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return err
}

func (f *file) closeLocked() {
	if f.opened != nil {
		_ = f.opened.Close() // each write was checked
		f.opened, f.torn = nil, false
	}
}
