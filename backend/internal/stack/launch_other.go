//go:build unix && !linux

package stack

import "syscall"

// attributes make the program lead a process group of its own. Other systems than Linux can't tie
// its life to this process: if that is killed, what it started has to be ended by hand.
func attributes(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
