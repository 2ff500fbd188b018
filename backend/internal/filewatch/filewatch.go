// Package filewatch takes over what files say, again whenever they change.
//
//	auth, tlsfiles ── Open, Run ──▶ File ◀── fsnotify, every 15 s, SIGHUP (Reload)
//	                      ◀── use ────┘
package filewatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// maxBytes bounds what is read of a file.
	maxBytes = 4 << 20
	// settleTime is how long a file must not change before it is read: editors write in steps.
	settleTime = 100 * time.Millisecond
	// pollInterval is how often a file is looked at where the system does not tell of changes, as
	// on network file systems.
	pollInterval = 15 * time.Second
)

// Options of a [File]. All are needed.
type Options struct {
	Setting string // that names the file
	Path    string
	// Use takes over what the file says. After an error what was there before stays in force.
	Use func([]byte) error
	Log *slog.Logger
	// OnReload is told when the file was taken over again, or why it could not be; nil for nobody.
	OnReload func(setting string, err error)
}

// A File is safe for concurrent use.
type File struct {
	opts Options // static

	mu   sync.Mutex
	seen []byte // what is in force
	told string // the error that OnReload was told last; empty after it was taken over
}

// Open reads the file for the first time. The error says what to change.
func Open(o Options) (*File, error) {
	f := &File{opts: o}
	if f.opts.OnReload == nil {
		f.opts.OnReload = func(string, error) {}
	}
	if _, err := f.read(); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Setting, err)
	}
	return f, nil
}

func (f *File) read() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, err := os.Open(f.opts.Path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	p, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	switch {
	case err != nil:
		return false, err
	case len(p) > maxBytes:
		return false, fmt.Errorf("%s has more than %d bytes", f.opts.Path, maxBytes)
	case f.seen != nil && bytes.Equal(p, f.seen):
		return false, nil
	}
	// What can't be used now is tried again: it may hang on another file.
	if err := f.opts.Use(p); err != nil {
		return false, fmt.Errorf("%s: %w", f.opts.Path, err)
	}
	f.seen = append([]byte{}, p...)
	return true, nil
}

// Reload takes over what the file says now.
func (f *File) Reload() {
	changed, err := f.read()
	if err == nil && !changed {
		f.isNews(nil)
		return
	}
	if !f.isNews(err) {
		return
	}
	switch {
	case err != nil:
		f.opts.Log.Error("file not taken over: what it said before stays in force", "setting", f.opts.Setting, "error", err)
	default:
		f.opts.Log.Info("file reloaded", "setting", f.opts.Setting, "path", f.opts.Path)
	}
	f.opts.OnReload(f.opts.Setting, err)
}

// isNews reports whether an error is another one than before: a file that is missing is looked for
// again and again.
func (f *File) isNews(err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.told
	if f.told = ""; err != nil {
		f.told = err.Error()
	}
	return err == nil || f.told != before
}

// Run reloads the file when it changes, until ctx ends.
func (f *File) Run(ctx context.Context) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		f.opts.Log.Warn("changes of the file are noticed late", "setting", f.opts.Setting, "after", pollInterval, "error", err)
		watcher = &fsnotify.Watcher{} // its channels are nil: nothing comes
	} else {
		defer watcher.Close()
	}
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	settled := time.NewTimer(0) // what changed between the first reading and here counts too
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-watcher.Events:
			settled.Reset(settleTime)
		case err := <-watcher.Errors:
			f.opts.Log.Debug("watching a file", "error", err)
			settled.Reset(settleTime)
		case <-poll.C:
			f.Reload()
		case <-settled.C:
			if err == nil {
				f.watch(watcher)
			}
			f.Reload()
		}
	}
}

// watch watches the directories of the file, and of what it links to: a file that is replaced is
// another file, and Kubernetes swaps a symbolic link beside it.
func (f *File) watch(watcher *fsnotify.Watcher) {
	errs := []error{watcher.Add(filepath.Dir(f.opts.Path))}
	if target, err := filepath.EvalSymlinks(f.opts.Path); err == nil {
		errs = append(errs, watcher.Add(filepath.Dir(target)))
	}
	if err := errors.Join(errs...); err != nil {
		f.opts.Log.Debug("directory of the file is not watched", "setting", f.opts.Setting, "error", err)
	}
}
