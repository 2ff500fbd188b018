//go:build linux

package machine

import (
	"fmt"
	"os"
	"syscall"
)

// reserved is how many descriptors are kept for everything that is not a connection of the run: the
// standard streams, the result files, the poller, workers' pipes, name look-ups.
const reserved = 50

// A DescriptorError says that the system does not allow as many connections as the run needs.
type DescriptorError struct{ Need, Have uint64 }

func (e *DescriptorError) Error() string {
	text := fmt.Sprintf("the run needs %d file descriptors and this process may have %d: raise the limit (ulimit -n %d)", e.Need, e.Have, e.Need)
	if e.Have > reserved { // else nothing helps but that
		text += fmt.Sprintf(", ask for more processes (--workers), or for at most %d connections and publishers together", e.Have-reserved)
	}
	return text
}

// A PortError says that there are not as many ports to connect from as the run needs.
type PortError struct{ Need, Have, Sources int }

func (e *PortError) Error() string {
	return fmt.Sprintf("the run needs %d ports to connect to each address of the server from, and there are %d, on %d source address(es): "+
		"name more (--source-address, SOURCE_ADDRESS), widen net.ipv4.ip_local_port_range, or spread the members over more addresses of the server (--ws-url)",
		e.Need, e.Have, e.Sources)
}

// Descriptors makes sure that the process may open so many connections at once. The error is a
// [*DescriptorError].
func Descriptors(connections int) error {
	need := uint64(connections) + reserved
	have, err := descriptorLimit()
	if err != nil {
		return fmt.Errorf("read the limit of file descriptors: %w", err)
	}
	if have < need {
		return &DescriptorError{Need: need, Have: have}
	}
	return nil
}

// mostProcesses is as many as are started without being asked for.
const mostProcesses = 64

// Processes returns how many processes so many connections need, by the descriptors of each.
func Processes(connections int) int {
	have, err := descriptorLimit()
	if err != nil || have <= 2*reserved {
		return 1
	}
	room := have - 2*reserved
	n := (uint64(connections) + room - 1) / room
	if n > mostProcesses {
		return 1 // a slip of the keyboard; Descriptors says what is wrong
	}
	return max(int(n), 1)
}

// Ports returns how many ports the system gives to connections from one address.
func Ports() int {
	var from, to int
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		_, err = fmt.Sscan(string(text), &from, &to)
	}
	if err != nil || to < from {
		return 28_232 // Linux's default
	}
	return to - from + 1
}

// descriptorLimit returns the limit that holds: Go raised it to the hard one when the program
// began.
func descriptorLimit() (uint64, error) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return l.Cur, err
}
