package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/edge"
)

// listenOn opens all addresses of a list; those that were opened are closed when one can't be.
func listenOn(list, flag string) (all []net.Listener, err error) {
	addresses, _ := config.Addresses(list) // checked already
	for _, a := range addresses {
		opened, err := open(a)
		if err != nil {
			for _, l := range all {
				err = errors.Join(err, l.Close())
			}
			return nil, fmt.Errorf("cannot listen on %s: %w: choose another address with %s", a, err, flag)
		}
		all = append(all, opened...)
	}
	return all, nil
}

// checkListen finds addresses that can't be listened on. One that is taken is no mistake: the
// server whose settings are checked may be running.
func checkListen(list, flag string) (err error) {
	addresses, wrong := config.Addresses(list)
	if wrong != nil {
		return nil // which Config.Check reports
	}
	for _, a := range addresses {
		cannot := tryListen(a)
		if cannot != nil && !errors.Is(cannot, syscall.EADDRINUSE) {
			err = errors.Join(err, fmt.Errorf("cannot listen on %s: %w: choose another address with %s", a, cannot, flag))
		}
	}
	return err
}

func tryListen(a config.Address) error {
	switch a.Network {
	case "unix": // its socket would take the place of the server's
		return tryCreate(filepath.Dir(a.Text))
	case "tcp":
		l, err := net.Listen("tcp", a.Text)
		if err != nil {
			return err
		}
		return l.Close()
	}
	return nil
}

func open(a config.Address) ([]net.Listener, error) {
	switch a.Network {
	case "systemd":
		return inheritedListeners(a.Text)
	case "unix":
		l, err := listenUnix(a.Text)
		return []net.Listener{l}, err
	}
	l, err := net.Listen("tcp", a.Text)
	if err != nil {
		return nil, err
	}
	edge.SetReceiveBuffer(l, receiveBufferBytes)
	return []net.Listener{l}, nil
}

// handedOver are the sockets of systemd (sd_listen_fds(3)), by name. They can be taken over once.
var handedOver = sync.OnceValues(activation.ListenersWithNames)

func inheritedListeners(name string) (all []net.Listener, _ error) {
	byName, err := handedOver()
	if err != nil {
		return nil, err
	}
	for n, listeners := range byName {
		if name == "" || n == name {
			all = append(all, listeners...)
		}
	}
	all = slices.DeleteFunc(all, func(l net.Listener) bool { return l == nil }) // what is no socket that listens
	if len(all) == 0 {
		return nil, errors.New("systemd handed no such socket over (LISTEN_FDS): start the server by its socket unit")
	}
	for i, l := range all {
		edge.SetReceiveBuffer(l, receiveBufferBytes)
		all[i] = inherited{l}
	}
	return all, nil
}

// inherited is a listener whose socket belongs to systemd and outlives this process: who leaves
// must not change it (lameduck finds no descriptor), nor remove its file. What nobody accepted
// waits for the next instance.
type inherited struct{ net.Listener }

// listenUnix takes the place of a socket that nobody listens on any more.
func listenUnix(path string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		return nil, errors.Join(errors.New("another process listens there"), c.Close())
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// As with a port of the loopback interface, any user of this machine may come in; the folder's
	// permissions can forbid it.
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return unixListener{l}, nil
}

// unixListener keeps its socket as it is when this process leaves (lameduck finds no descriptor).
type unixListener struct{ net.Listener }

// joined accepts from several listeners, so that limits count all of them together.
type joined struct {
	listeners []net.Listener
	accepted  chan accepted
	closed    chan struct{}
	close     sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

func join(listeners []net.Listener) net.Listener {
	if len(listeners) == 1 {
		return listeners[0]
	}
	j := &joined{listeners: listeners, accepted: make(chan accepted), closed: make(chan struct{})}
	var open sync.WaitGroup
	for _, l := range listeners {
		open.Go(func() { j.take(l) })
	}
	go func() {
		open.Wait()
		j.close.Do(func() { close(j.closed) })
	}()
	return j
}

// take hands over what one listener accepts, until it is closed.
func (j *joined) take(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		select {
		case j.accepted <- accepted{c, err}:
		case <-j.closed:
			if c != nil {
				_ = c.Close() // nobody serves it
			}
			return
		}
	}
}

// Accept implements net.Listener.
func (j *joined) Accept() (net.Conn, error) {
	select {
	case a := <-j.accepted:
		return a.conn, a.err
	case <-j.closed:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener: the first address.
func (j *joined) Addr() net.Addr { return j.listeners[0].Addr() }

// Close implements net.Listener.
func (j *joined) Close() (err error) {
	j.close.Do(func() { close(j.closed) })
	for _, l := range j.listeners {
		if e := l.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// addresses are those that a front listens on, for the log.
func addresses(system []net.Listener) (all []string) {
	for _, l := range system {
		address := l.Addr().String()
		if l.Addr().Network() == "unix" {
			address = "unix:" + address
		}
		all = append(all, address)
	}
	return all
}
