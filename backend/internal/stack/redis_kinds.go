package stack

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A secret is what it takes to speak with a server over TLS.
type secret struct {
	password string
	client   *tls.Config
}

func (s *Stack) startSecured(ctx context.Context) error {
	ca, cert, key, err := s.certificate()
	if err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return err
	}
	trusted, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trusted)
	own := &secret{password: rand.Text(), client: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "127.0.0.1"}}
	r, err := s.startServer(ctx, "redis", own, "--requirepass", own.password, "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", ca, "--tls-auth-clients", "yes")
	if err != nil {
		return err
	}
	s.RedisURL, s.RedisCAFile, s.RedisCertFile, s.RedisKeyFile = r.URL, ca, cert, key
	return nil
}

// certificate makes an authority, and one certificate of it for both ends.
func (s *Stack) certificate() (ca, cert, key string, err error) {
	dir, err := s.folder("certificates")
	if err != nil {
		return "", "", "", err
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stack"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	end := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", "", err
	}
	endKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", "", err
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return "", "", "", err
	}
	endDER, err := x509.CreateCertificate(rand.Reader, end, authority, &endKey.PublicKey, authorityKey)
	if err != nil {
		return "", "", "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(endKey)
	if err != nil {
		return "", "", "", err
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		err = errors.Join(err, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	ca = write("ca.pem", "CERTIFICATE", authorityDER)
	cert = write("redis.pem", "CERTIFICATE", endDER)
	key = write("redis.key", "PRIVATE KEY", keyDER)
	return ca, cert, key, err
}

// The name of the master that Sentinels watch.
const masterName = "zonecast"

func (s *Stack) startWatched(ctx context.Context) error {
	master, err := s.startServer(ctx, "redis-1", nil)
	if err != nil {
		return err
	}
	host, port, _ := strings.Cut(master.Address, ":")
	for n := range 2 {
		if _, err := s.startServer(ctx, fmt.Sprint("redis-", n+2), nil, "--replicaof", host, port, "--repl-diskless-sync-delay", "0"); err != nil {
			return err
		}
	}
	var addresses []string
	for n := range 3 {
		name := fmt.Sprint("sentinel-", n+1)
		dir, err := s.folder(name)
		if err != nil {
			return err
		}
		config := filepath.Join(dir, "sentinel.conf") // which it writes to
		text := fmt.Sprintf("sentinel monitor %[1]s %s %s 2\nsentinel down-after-milliseconds %[1]s 2000\nsentinel failover-timeout %[1]s 5000\n",
			masterName, host, port)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return err
		}
		r, err := s.startProgram(ctx, name, nil, &s.Sentinels, config, "--sentinel")
		if err != nil {
			return err
		}
		addresses = append(addresses, r.Address)
	}
	s.RedisURL = "redis://" + addresses[0] + "/0?addr=" + addresses[1] + "&addr=" + addresses[2] + "&master_name=" + masterName
	return s.await(ctx, "the Sentinels know the replicas and one another", func() error {
		for _, r := range s.Sentinels {
			info, err := r.Command(ctx, "INFO sentinel")
			if err != nil {
				return err
			}
			if !strings.Contains(info, "slaves=2,sentinels=3") {
				return fmt.Errorf("%s: %s", r.Name(), info)
			}
		}
		return nil
	})
}

// Master returns the server that the Sentinels take for the master.
func (s *Stack) Master(ctx context.Context) (*Redis, error) {
	conn, err := s.Sentinels[0].Command(ctx, "INFO sentinel")
	if err != nil {
		return nil, err
	}
	for _, r := range s.Redises {
		if strings.Contains(conn, "address="+r.Address+",") {
			return r, nil
		}
	}
	return nil, fmt.Errorf("no server is the master: %s", conn)
}

// await asks until the answer is no error.
func (s *Stack) await(ctx context.Context, what string, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.ReadyWithin)
	defer cancel()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("not so: %s: %w", what, err)
		}
	}
}
