package stack

import (
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// A port is a TCP port of 127.0.0.1 that nobody else gets while it is held.
//
// It is a socket that is bound, but does not listen. The kernel gives its port neither to a
// listener on port 0 nor to an outgoing connection; a program that names the port, and sets
// SO_REUSEADDR as servers do, may listen on it all the same.
type port struct {
	fd     int
	number int
}

// holdPort holds a port of this number; 0 is any that is free.
func holdPort(number int) (*port, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("hold a port: socket: %w", err)
	}
	number, err = bindLoopback(fd, number)
	if err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("hold a port: %w", err)
	}
	return &port{fd: fd, number: number}, nil
}

func bindLoopback(fd, number int) (int, error) {
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, fmt.Errorf("set SO_REUSEADDR: %w", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: number, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, fmt.Errorf("bind to 127.0.0.1:%d: %w: end what uses it, or choose other ports", number, err)
	}
	address, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("getsockname: %w", err)
	}
	inet, ok := address.(*syscall.SockaddrInet4)
	if !ok {
		return 0, fmt.Errorf("getsockname: %T is no IPv4 address", address)
	}
	return inet.Port, nil
}

// address is the port as "127.0.0.1:12345".
func (p *port) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.number)) }

func (p *port) release() error { return syscall.Close(p.fd) }
