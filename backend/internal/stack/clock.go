package stack

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/zonecast/zonecast/backend/internal/program"
)

//go:embed clock/clock.c
var clockSource []byte

// prepareClock builds what lets the clocks of the stack's servers jump, and returns the environment
// that they need.
func (s *Stack) prepareClock() ([]string, error) {
	compiler, err := program.Find("gcc")
	if err != nil {
		return nil, err
	}
	dir, err := s.folder("clock")
	if err != nil {
		return nil, err
	}
	source, library := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so")
	s.clock = filepath.Join(dir, "ahead")
	if err := os.WriteFile(source, clockSource, 0o600); err != nil {
		return nil, err
	}
	if err := s.SetClock(0); err != nil {
		return nil, err
	}
	if output, err := exec.Command(compiler, "-shared", "-fPIC", "-O2", "-o", library, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the clock: %w\n%s", err, output)
	}
	return []string{"LD_PRELOAD=" + library, "CLOCK_AHEAD=" + s.clock}, nil
}

// SetClock sets the wall clocks of the stack's Redis servers to so much ahead of this machine's, or
// behind it. It needs Options.Clock.
func (s *Stack) SetClock(ahead time.Duration) error {
	file, err := os.OpenFile(s.clock, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	defer file.Close()
	var p [8]byte
	binary.NativeEndian.PutUint64(p[:], uint64(ahead.Microseconds()))
	if _, err := file.WriteAt(p[:], 0); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}
