package stack

import "syscall"

// attributes make the program lead a process group of its own, and have the kernel send it the
// signal when the thread that started it, and so this whole process, dies.
func attributes(orphaned syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphaned}
}
