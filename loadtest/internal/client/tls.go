//go:build linux

package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// tlsBridges connect a socket of the loop with a server that wants TLS: each is two goroutines and
// one more descriptor, and costs tens of KiB. The loop sees a plain socket.
type tlsBridges struct {
	roots      *x509.CertPool // that certificates are checked against; nil for the system's
	running    sync.WaitGroup
	mu         sync.Mutex
	dialErrors map[int]error // by the loop's descriptor: why the server was not reached
}

// Roots returns the authorities that are in a file of certificates, nil for the system's if it is
// empty.
func Roots(pem []byte) *x509.CertPool {
	if len(pem) == 0 {
		return nil
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return roots
}

const tlsTimeout = 10 * time.Second

func (b *tlsBridges) dial(to *Target) (fd int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socketpair: %w", err)
	}
	far := os.NewFile(uintptr(pair[1]), "bridge")
	near, err := net.FileConn(far)
	if err = errors.Join(err, far.Close()); err != nil {
		return -1, errors.Join(err, unix.Close(pair[0]))
	}
	b.running.Go(func() {
		defer near.Close()
		ctx, cancel := context.WithTimeout(context.Background(), tlsTimeout)
		defer cancel()
		dialer := tls.Dialer{Config: &tls.Config{ServerName: to.TLS, NextProtos: []string{"http/1.1"}, RootCAs: b.roots}}
		conn, err := dialer.DialContext(ctx, "tcp", to.Addr.String())
		if err != nil {
			b.mu.Lock()
			if b.dialErrors == nil {
				b.dialErrors = map[int]error{}
			}
			b.dialErrors[pair[0]] = err
			b.mu.Unlock()
			return
		}
		defer conn.Close()
		copyBoth(near, conn)
	})
	return pair[0], nil
}

// copyBoth copies both ways until one of them ends.
func copyBoth(a, b net.Conn) {
	var copying sync.WaitGroup
	copying.Go(func() { _, _ = io.Copy(a, b); _ = a.Close() })
	_, _ = io.Copy(b, a)
	_ = b.Close()
	copying.Wait()
}

// dialError returns why a server was not reached over TLS, nil if it was.
func (b *tlsBridges) dialError(fd int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.dialErrors[fd]
	delete(b.dialErrors, fd)
	return err
}

func (b *tlsBridges) wait() { b.running.Wait() }
