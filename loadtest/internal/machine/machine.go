//go:build linux

// Package machine says on what the benchmark runs, and how busy it is.
package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Description is what figures depend on.
type Description struct {
	Cores     int    `json:"cores"`
	Processor string `json:"processor"`
	MemoryGiB int    `json:"memoryGiB"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
	Node      string `json:"node,omitempty"`
}

// Describe describes this machine. What it can't find out stays empty.
func Describe() Description {
	d := Description{Cores: runtime.NumCPU(), Go: strings.TrimPrefix(runtime.Version(), "go")}
	if m := modelName.FindSubmatch(read("/proc/cpuinfo")); m != nil {
		d.Processor = string(m[1])
	}
	if m := memTotal.FindSubmatch(read("/proc/meminfo")); m != nil {
		kib, _ := strconv.Atoi(string(m[1]))
		d.MemoryGiB = (kib + 1<<19) >> 20
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		d.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if out, err := exec.Command("node", "--version").Output(); err == nil {
		d.Node = strings.TrimPrefix(strings.TrimSpace(string(out)), "v")
	}
	return d
}

var (
	modelName = regexp.MustCompile(`(?m)^model name\s*: (.+)$`)
	memTotal  = regexp.MustCompile(`(?m)^MemTotal:\s+(\d+) kB$`)
)

func read(name string) []byte {
	p, _ := os.ReadFile(name)
	return p
}

// String returns the description as a sentence's part.
func (d Description) String() string {
	s := fmt.Sprintf("%d cores of %s, %d GiB, Linux %s, Go %s", d.Cores, d.Processor, d.MemoryGiB, d.Kernel, d.Go)
	if d.Node != "" {
		s += ", Node " + d.Node
	}
	return s
}

// Cores returns how many cores there are.
func Cores() int { return runtime.NumCPU() }

// Idle returns the time that the cores had nothing to do since the machine's start, summed over all of them.
func Idle() (time.Duration, error) { return parseIdle(string(read("/proc/stat"))) }

func parseIdle(stat string) (time.Duration, error) {
	first, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(first)
	if len(fields) < 6 || fields[0] != "cpu" {
		return 0, errors.New("read the idle time: no such line in /proc/stat")
	}
	var ticks int64
	for _, f := range fields[4:6] { // idle and iowait
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the idle time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
