//go:build linux

// Package epoll waits for many sockets in one thread, and reads and writes them without blocking.
//
// The calls go straight to the kernel: none of them can block (but Wait, when it is told to), so
// Go's scheduler needs not hear of them, which makes a short read much cheaper. Needs Linux 5.11.
package epoll

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a socket can be ready for.
const (
	Readable = unix.EPOLLIN
	Writable = unix.EPOLLOUT
	// Ended: the other side closed, or it broke. Reading tells which, after what is left.
	Ended = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

// ErrAgain says that a socket has nothing to read now, or no room.
var ErrAgain = errors.New("not ready")

// An Event is a socket that became ready.
type Event struct {
	// Token is what the socket was added with.
	Token int32
	Flags uint32
}

// A Poller waits for sockets. It is edge-triggered: an event comes once, so whoever gets it must
// read until ErrAgain or until a read did not fill its buffer.
type Poller struct {
	fd     int
	ready  [128]unix.EpollEvent
	events [128]Event
}

// Open returns a poller without sockets.
func Open() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	return &Poller{fd: fd}, nil
}

// Close frees the poller; the sockets stay open.
func (p *Poller) Close() error { return unix.Close(p.fd) }

// Add watches a socket for everything there is. Closing the socket ends it.
func (p *Poller) Add(fd int, token int32) error {
	e := unix.EpollEvent{Events: Readable | Writable | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: token}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// Wait returns what happened, after at most the time given. The slice is valid until the next call.
func (p *Poller) Wait(most time.Duration) ([]Event, error) {
	n, errno := p.wait(0)
	if n == 0 && errno == 0 && most > 0 {
		n, errno = p.wait(most)
	}
	switch errno {
	case 0:
	case unix.EINTR:
		return nil, nil
	default:
		return nil, fmt.Errorf("epoll_pwait2: %w", errno)
	}
	for i, e := range p.ready[:n] {
		p.events[i] = Event{Token: e.Fd, Flags: e.Events}
	}
	return p.events[:n], nil
}

func (p *Poller) wait(most time.Duration) (int, unix.Errno) {
	limit := unix.NsecToTimespec(most.Nanoseconds())
	call := unix.RawSyscall6
	if most > 0 {
		call = unix.Syscall6
	}
	n, _, errno := call(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.ready)), uintptr(len(p.ready)),
		uintptr(unsafe.Pointer(&limit)), 0, 0)
	runtime.KeepAlive(p)
	return int(n), errno
}

// Read reads up to len(b) bytes; 0 without an error is the end. The socket must be non-blocking.
func Read(fd int, b []byte) (int, error) { return transfer(unix.SYS_READ, fd, b) }

// Write writes as much of b as there is room for. The socket must be non-blocking.
func Write(fd int, b []byte) (int, error) { return transfer(unix.SYS_WRITE, fd, b) }

func transfer(call uintptr, fd int, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	switch errno {
	case 0:
		return int(n), nil
	case unix.EAGAIN, unix.EINTR:
		return 0, ErrAgain
	}
	return 0, errno
}

// ipBindAddressNoPort lets the port be chosen when the connection is, so that as many as there are
// ports can go to each server from each address (IP_BIND_ADDRESS_NO_PORT).
const ipBindAddressNoPort = 24

// Dial connects, from an address if it is valid; the socket is writable once that worked or failed.
func Dial(to netip.AddrPort, from netip.Addr) (fd int, err error) {
	family, address := sockaddr(to)
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		// Closing resets: thousands that ended politely would hold their ports for a minute.
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	if err == nil && from.IsValid() {
		_, source := sockaddr(netip.AddrPortFrom(from, 0))
		err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IP, ipBindAddressNoPort, 1), os.NewSyscallError("bind", unix.Bind(fd, source)))
	}
	if err == nil {
		err = os.NewSyscallError("connect", unix.Connect(fd, address))
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func sockaddr(a netip.AddrPort) (family int, address unix.Sockaddr) {
	if ip := a.Addr().Unmap(); ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// Fault returns what went wrong with a socket, nil if nothing did.
func Fault(fd int) error {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if n != 0 {
		return unix.Errno(n)
	}
	return nil
}
