//go:build linux

// Package machine reads what the system has and allows, and what processes use, from /proc.
//
//	machine.go   the description of the machine, and the CPU time and memory of processes
//	limits.go    file descriptors and local ports
package machine

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/procfs"
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
	if proc, err := procfs.NewDefaultFS(); err == nil {
		if cores, err := proc.CPUInfo(); err == nil && len(cores) > 0 {
			d.Processor = cores[0].ModelName
		}
		if memory, err := proc.Meminfo(); err == nil && memory.MemTotalBytes != nil {
			d.MemoryGiB = int((*memory.MemTotalBytes + 1<<29) >> 30)
		}
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

// String returns the description as a sentence's part.
func (d Description) String() string {
	s := fmt.Sprintf("%d cores of %s, %d GiB, Linux %s, Go %s", d.Cores, d.Processor, d.MemoryGiB, d.Kernel, d.Go)
	if d.Node != "" {
		s += ", Node " + d.Node
	}
	return s
}

// Idle returns how long the cores had nothing to do since the machine's start, all together.
func Idle() (time.Duration, error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, fmt.Errorf("read the idle time: %w", err)
	}
	stat, err := proc.Stat()
	if err != nil {
		return 0, fmt.Errorf("read the idle time: %w", err)
	}
	return seconds(stat.CPUTotal.Idle + stat.CPUTotal.Iowait), nil
}

// CPU returns the time that a process has computed, in user mode and in the kernel.
func CPU(pid int) (time.Duration, error) {
	proc, err := procfs.NewProc(pid)
	if err != nil {
		return 0, fmt.Errorf("read the CPU time: %w", err)
	}
	stat, err := proc.Stat()
	if err != nil {
		return 0, fmt.Errorf("read the CPU time: %w", err)
	}
	return seconds(stat.CPUTime()), nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Resident returns the bytes of memory that a process has (VmRSS).
func Resident(pid int) (int64, error) {
	proc, err := procfs.NewProc(pid)
	if err != nil {
		return 0, fmt.Errorf("read the memory: %w", err)
	}
	status, err := proc.NewStatus()
	if err == nil && status.VmRSS == 0 {
		err = errors.New("no VmRSS")
	}
	if err != nil {
		return 0, fmt.Errorf("read the memory: %w", err)
	}
	return int64(status.VmRSS), nil
}

// Used returns the CPU time of this process and the most memory it had, since its start.
func Used() (cpu time.Duration, peakBytes uint64) {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), uint64(u.Maxrss) << 10
}
