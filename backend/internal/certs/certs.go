// Package certs has the certificates that the server speaks TLS with, and takes them over again
// when their files change.
//
//	cmd ── Open, Run ──▶ Certificates ◀── filewatch ── TLS_CERT_FILE, TLS_KEY_FILE, TLS_CLIENT_CA_FILE
//	net/http ── handshake ──▶ Config ──▶ the newest that could be used
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecast/zonecast/backend/internal/filewatch"
)

// Options of [Certificates].
type Options struct {
	CertFile, KeyFile string // PEM; the server's own certificate comes first, then those between it and its CA
	// ClientCAFile has the CAs (PEM) of clients' certificates; empty for not asking for one.
	ClientCAFile string
	// ClientOptional lets in clients without a certificate.
	ClientOptional bool
	Log            *slog.Logger
	// OnReload is told when a file was taken over again, or why it could not be; nil for nobody.
	OnReload func(setting string, err error)
}

// Certificates are those in force. Its methods may be called by several goroutines.
type Certificates struct {
	opts    Options
	files   []*filewatch.File
	current atomic.Pointer[Loaded]
}

// Loaded is what the files said at one time.
type Loaded struct {
	pair    tls.Certificate
	clients *x509.CertPool // nil for not asking
	opts    Options
}

// Load reads the files. The error says which setting to change.
func Load(o Options) (*Loaded, error) {
	var errs []error
	l := &Loaded{opts: o}
	cert, err := read("TLS_CERT_FILE", o.CertFile)
	key, err2 := read("TLS_KEY_FILE", o.KeyFile)
	if errs = append(errs, err, err2); err == nil && err2 == nil {
		errs = append(errs, l.use(cert, key, time.Now()))
	}
	if o.ClientCAFile != "" {
		cas, err := read("TLS_CLIENT_CA_FILE", o.ClientCAFile)
		l.clients = x509.NewCertPool()
		if err == nil && !l.clients.AppendCertsFromPEM(cas) {
			err = fmt.Errorf("TLS_CLIENT_CA_FILE: %s has no certificate in PEM", o.ClientCAFile)
		}
		errs = append(errs, err)
	}
	return l, errors.Join(errs...)
}

func read(setting, path string) ([]byte, error) {
	p, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return p, nil
}

// use takes the pair, if a client could believe it.
func (l *Loaded) use(cert, key []byte, now time.Time) (err error) {
	if l.pair, err = tls.X509KeyPair(cert, key); err != nil {
		return fmt.Errorf("TLS_CERT_FILE and TLS_KEY_FILE: %w", err)
	}
	if end := l.NotAfter(); now.After(end) {
		return fmt.Errorf("TLS_CERT_FILE: the certificate has expired at %s: renew it", end.Format(time.RFC3339))
	}
	return nil
}

// NotAfter is when the certificate expires.
func (l *Loaded) NotAfter() time.Time { return l.pair.Leaf.NotAfter.UTC() }

// warnBefore is how long before its end a certificate is warned of.
const warnBefore = 14 * 24 * time.Hour

// Warnings are what works, but should be seen to.
func (l *Loaded) Warnings(now time.Time) (all []string) {
	if left := l.NotAfter().Sub(now); left < warnBefore {
		all = append(all, fmt.Sprintf("the certificate of TLS_CERT_FILE expires at %s, in %.0f days: renew it",
			l.NotAfter().Format(time.RFC3339), left.Hours()/24))
	}
	if begin := l.pair.Leaf.NotBefore; now.Before(begin) {
		all = append(all, fmt.Sprintf("the certificate of TLS_CERT_FILE is not valid before %s: clients refuse it until then",
			begin.UTC().Format(time.RFC3339)))
	}
	if info, err := os.Stat(l.opts.KeyFile); err == nil && info.Mode().Perm()&0o007 != 0 {
		all = append(all, fmt.Sprintf("every user of the machine can read or write the key in TLS_KEY_FILE (mode %04o): chmod o= it",
			info.Mode().Perm()))
	}
	return all
}

// Open returns the certificates, whose Run has to follow.
func Open(o Options) (*Certificates, error) {
	c := &Certificates{opts: o}
	loaded, err := Load(o)
	if err != nil {
		return nil, err
	}
	c.current.Store(loaded)
	for setting, path := range map[string]string{"TLS_CERT_FILE": o.CertFile, "TLS_KEY_FILE": o.KeyFile, "TLS_CLIENT_CA_FILE": o.ClientCAFile} {
		if path == "" {
			continue
		}
		f, err := filewatch.Open(filewatch.Options{Setting: setting, Path: path, Use: c.reload, Log: o.Log, OnReload: o.OnReload})
		if err != nil {
			return nil, err
		}
		c.files = append(c.files, f)
	}
	return c, nil
}

// reload takes over all files when one has changed. Certificate and key are replaced one after the
// other: between the two they don't fit, and what was there before stays in force.
func (c *Certificates) reload([]byte) error {
	loaded, err := Load(c.opts)
	if err != nil {
		return err
	}
	c.current.Store(loaded)
	return nil
}

// Reload reads the files again, as when they change.
func (c *Certificates) Reload() {
	for _, f := range c.files {
		f.Reload()
	}
}

// Run watches the files until ctx ends.
func (c *Certificates) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, f := range c.files {
		running.Go(func() { f.Run(ctx) })
	}
	running.Wait()
}

// NotAfter is when the certificate in force expires.
func (c *Certificates) NotAfter() time.Time { return c.current.Load().NotAfter() }

// Config is that of a server. With askClients clients are asked for certificates, if there are CAs
// for them.
func (c *Certificates) Config(askClients bool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		l := c.current.Load()
		config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{l.pair}}
		if l.clients != nil && askClients {
			config.ClientCAs, config.ClientAuth = l.clients, tls.RequireAndVerifyClientCert
			if c.opts.ClientOptional {
				config.ClientAuth = tls.VerifyClientCertIfGiven
			}
		}
		return config, nil
	}}
}
