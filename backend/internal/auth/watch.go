package auth

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
	// maxKeyFileBytes bounds what is read of a file of keys.
	maxKeyFileBytes = 4 << 20
	// settleTime is how long a file must not change before it is read: editors write in steps.
	settleTime = 100 * time.Millisecond
	// pollInterval is how often a file is looked at where the system does not tell of changes, as
	// on network file systems.
	pollInterval = 15 * time.Second
)

// A watchedFile takes over what a file says, again whenever it changes. One that can't be used
// leaves what was there in force, and is logged.
type watchedFile struct {
	// Static after construction.
	setting string // that names the file
	path    string
	use     func([]byte) error
	log     *slog.Logger

	mu   sync.Mutex
	seen []byte // what was read last, whether it could be used or not
}

// openWatched reads the file for the first time. The error says what to change.
func openWatched(setting, path string, log *slog.Logger, use func([]byte) error) (*watchedFile, error) {
	f := &watchedFile{setting: setting, path: path, use: use, log: log}
	if _, err := f.read(); err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return f, nil
}

func (f *watchedFile) read() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, err := os.Open(f.path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	p, err := io.ReadAll(io.LimitReader(file, maxKeyFileBytes+1))
	switch {
	case err != nil:
		return false, err
	case len(p) > maxKeyFileBytes:
		return false, fmt.Errorf("%s has more than %d bytes", f.path, maxKeyFileBytes)
	case f.seen != nil && bytes.Equal(p, f.seen):
		return false, nil
	}
	f.seen = append([]byte{}, p...)
	if err := f.use(p); err != nil {
		return false, fmt.Errorf("%s: %w", f.path, err)
	}
	return true, nil
}

// reload takes over what the file says now.
func (f *watchedFile) reload() {
	switch changed, err := f.read(); {
	case err != nil:
		f.log.Error("file of keys not taken over: the keys from before stay in force", "setting", f.setting, "error", err)
	case changed:
		f.log.Info("keys reloaded", "setting", f.setting, "path", f.path)
	}
}

// run reloads the file when it changes, until ctx ends.
func (f *watchedFile) run(ctx context.Context) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		f.log.Warn("changes of the file of keys are noticed late", "setting", f.setting, "after", pollInterval, "error", err)
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
			f.log.Debug("watching a file of keys", "error", err)
			settled.Reset(settleTime)
		case <-poll.C:
			f.reload()
		case <-settled.C:
			if err == nil {
				f.watch(watcher)
			}
			f.reload()
		}
	}
}

// watch watches the directories of the file, and of what it links to: a file that is replaced is
// another file, and Kubernetes swaps a symbolic link beside it.
func (f *watchedFile) watch(watcher *fsnotify.Watcher) {
	errs := []error{watcher.Add(filepath.Dir(f.path))}
	if target, err := filepath.EvalSymlinks(f.path); err == nil {
		errs = append(errs, watcher.Add(filepath.Dir(target)))
	}
	if err := errors.Join(errs...); err != nil {
		f.log.Debug("directory of the keys is not watched", "setting", f.setting, "error", err)
	}
}
