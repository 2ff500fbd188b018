package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An Authority issues certificates for servers on this machine, and for clients.
type Authority struct {
	Pool *x509.CertPool
	PEM  []byte
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority returns one that nobody else trusts.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{Pool: x509.NewCertPool()}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	a.cert, a.PEM, a.key = a.sign(t, template, time.Now().Add(time.Hour))
	a.Pool.AddCert(a.cert)
	return a
}

// sign returns a certificate that the authority, or itself if there is none yet, has signed.
func (a *Authority) sign(t testing.TB, c *x509.Certificate, end time.Time) (*x509.Certificate, []byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Must(t, err)
	c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	Must(t, err)
	c.NotBefore, c.NotAfter = time.Now().Add(-24*time.Hour), end
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	Must(t, err)
	signed, err := x509.ParseCertificate(der)
	Must(t, err)
	return signed, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key
}

// Issue returns a certificate and its key, as PEM, that is valid until end: of a server on
// 127.0.0.1, and of a client.
func (a *Authority) Issue(t testing.TB, end time.Time) (cert, key []byte) {
	t.Helper()
	_, cert, private := a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, end)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	Must(t, err)
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// IssueFiles is Issue for an hour, into the files cert.pem, key.pem of a folder. The authority's
// own certificate is in ca.pem.
func (a *Authority) IssueFiles(t testing.TB, folder string) (certFile, keyFile, caFile string) {
	t.Helper()
	cert, key := a.Issue(t, time.Now().Add(time.Hour))
	certFile, keyFile, caFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"), filepath.Join(folder, "ca.pem")
	for name, p := range map[string][]byte{certFile: cert, keyFile: key, caFile: a.PEM} {
		Must(t, os.WriteFile(name, p, 0o600))
	}
	return certFile, keyFile, caFile
}

// Client is how a client trusts the authority alone; with a certificate of its own if it is given
// one.
func (a *Authority) Client(t testing.TB, withCertificate bool) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: a.Pool, MinVersion: tls.VersionTLS10}
	if withCertificate {
		cert, key := a.Issue(t, time.Now().Add(time.Hour))
		pair, err := tls.X509KeyPair(cert, key)
		Must(t, err)
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}
