//go:build linux

package machine

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc/PID/stat: USER_HZ is 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

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
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime; the first field here is the process's state
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
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
