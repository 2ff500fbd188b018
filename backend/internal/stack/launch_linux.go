package stack

import "syscall"

// attributes make the program lead a process group of its own, and have the kernel send it the
// signal when the launcher's thread, and so this whole process, dies.
func attributes(orphaned syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphaned}
}
