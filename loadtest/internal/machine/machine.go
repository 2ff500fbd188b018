//go:build linux

// Package machine reads what the system has and allows, and what processes use, from /proc.
//
//	machine.go   the description of the machine, and the CPU time and memory of processes
//	limits.go    file descriptors and local ports
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

// Idle returns how long the cores had nothing to do since the machine's start, all together.
func Idle() (time.Duration, error) { return parseIdle(string(read("/proc/stat"))) }

func parseIdle(stat string) (time.Duration, error) {
	first, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(first)
	if len(fields) < 6 || fields[0] != "cpu" {
		return 0, errors.New("read the idle time: no such line in /proc/stat")
	}
	idle, err := sumTicks(fields[4:6]) // idle and iowait
	if err != nil {
		return 0, fmt.Errorf("read the idle time: %w", err)
	}
	return idle, nil
}

// sumTicks adds times of /proc up. Their unit: USER_HZ is 100 on every Linux that Go runs on.
func sumTicks(fields []string) (sum time.Duration, err error) {
	for _, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum, nil
}

// CPU returns the time that a process has computed, in user mode and in the kernel.
func CPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time: %w", err)
	}
	return parseCPU(string(text))
}

func parseCPU(stat string) (time.Duration, error) {
	_, rest, _ := strings.Cut(stat[strings.LastIndexByte(stat, ')')+1:], " ") // the name may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("read the CPU time: %.80q", stat)
	}
	used, err := sumTicks(fields[11:13]) // utime and stime; the first field here is the process's state
	if err != nil {
		return 0, fmt.Errorf("read the CPU time: %w", err)
	}
	return used, nil
}

// Resident returns the bytes of memory that a process has (VmRSS).
func Resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory: %w", err)
	}
	return parseResident(string(text))
}

var resident = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

func parseResident(status string) (int64, error) {
	m := resident.FindStringSubmatch(status)
	if m == nil {
		return 0, errors.New("read the memory: no VmRSS")
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	return n << 10, err
}

// Used returns the CPU time of this process and the most memory it had, since its start.
func Used() (cpu time.Duration, peakBytes uint64) {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), uint64(u.Maxrss) << 10
}
