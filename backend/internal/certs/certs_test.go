package certs_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/certs"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

func files(t *testing.T, a *testkit.Authority) certs.Options {
	t.Helper()
	o := certs.Options{Log: slog.New(slog.DiscardHandler)}
	o.CertFile, o.KeyFile, _ = a.IssueFiles(t, t.TempDir())
	return o
}

func TestMistakesInCertificatesSayWhatToChange(t *testing.T) {
	a := testkit.NewAuthority(t)
	for _, tt := range []struct {
		name   string
		change func(*certs.Options)
		want   string
	}{
		{"no certificate", func(o *certs.Options) { o.CertFile = "/nothing/here" }, "TLS_CERT_FILE: open /nothing/here"},
		{"no key", func(o *certs.Options) { o.KeyFile = "/nothing/here" }, "TLS_KEY_FILE: open /nothing/here"},
		{"the key of another", func(o *certs.Options) { o.KeyFile = files(t, a).KeyFile }, "private key does not match public key"},
		{"exchanged", func(o *certs.Options) { o.CertFile, o.KeyFile = o.KeyFile, o.CertFile }, "TLS_CERT_FILE and TLS_KEY_FILE"},
		{"expired", func(o *certs.Options) {
			cert, key := a.Issue(t, time.Now().Add(-time.Minute))
			testkit.Must(t, os.WriteFile(o.CertFile, cert, 0o600))
			testkit.Must(t, os.WriteFile(o.KeyFile, key, 0o600))
		}, "has expired at"},
		{"CAs that are none", func(o *certs.Options) { o.ClientCAFile = o.KeyFile }, "TLS_CLIENT_CA_FILE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := files(t, a)
			tt.change(&o)
			_, err := certs.Open(o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v does not mention %q", err, tt.want)
			}
			if key, readErr := os.ReadFile(o.KeyFile); readErr == nil && len(key) > 100 && strings.Contains(fmt.Sprint(err), string(key[30:60])) {
				t.Error("the key is in the error")
			}
		})
	}
}

func TestCertificatesThatEndSoonAndKeysForAllAreWarnedOf(t *testing.T) {
	o := files(t, testkit.NewAuthority(t))
	testkit.Must(t, os.Chmod(o.KeyFile, 0o644))
	loaded, err := certs.Load(o)
	testkit.Must(t, err)
	warnings := strings.Join(loaded.Warnings(time.Now()), "\n")
	for _, want := range []string{"in 0 days: renew it", "mode 0644"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("%q does not mention %q", warnings, want)
		}
	}
	testkit.Must(t, os.Chmod(o.KeyFile, 0o640))
	if all := loaded.Warnings(time.Now().Add(-20 * 24 * time.Hour)); len(all) != 1 || !strings.Contains(all[0], "not valid before") {
		t.Errorf("20 days before: %q", all)
	}
}

// serial returns that of the certificate that a server shows.
func serial(t *testing.T, a *testkit.Authority, address string) string {
	t.Helper()
	c, err := tls.Dial("tcp", address, a.Client(t, false))
	testkit.Must(t, err)
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// A new pair is taken over without a restart, whichever of its files comes first; one that is
// broken leaves the old one in force and is told.
func TestANewPairIsTakenOverAndABrokenOneIsNot(t *testing.T) {
	a := testkit.NewAuthority(t)
	o := files(t, a)
	var mu sync.Mutex
	told := map[bool]int{}
	o.OnReload = func(_ string, err error) {
		mu.Lock()
		defer mu.Unlock()
		told[err == nil]++
	}
	c, err := certs.Open(o)
	testkit.Must(t, err)
	var running sync.WaitGroup
	defer running.Wait()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	running.Go(func() { c.Run(ctx) })
	l, err := tls.Listen("tcp", "127.0.0.1:0", c.Config(true))
	testkit.Must(t, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func(conn net.Conn) { defer conn.Close(); _, _ = io.Copy(io.Discard, conn) }(conn)
		}
	}()
	before := serial(t, a, l.Addr().String())
	testkit.Must(t, os.WriteFile(o.CertFile, []byte("broken"), 0o600))
	testkit.Eventually(t, "the broken one is told", func() bool { mu.Lock(); defer mu.Unlock(); return told[false] > 0 })
	if got := serial(t, a, l.Addr().String()); got != before {
		t.Error("the old one is not in force any more")
	}
	for _, order := range [][]string{{o.CertFile, o.KeyFile}, {o.KeyFile, o.CertFile}} {
		cert, key := a.Issue(t, time.Now().Add(2*time.Hour))
		pem := map[string][]byte{o.CertFile: cert, o.KeyFile: key}
		for _, name := range order {
			next := filepath.Join(filepath.Dir(name), "next")
			testkit.Must(t, os.WriteFile(next, pem[name], 0o600))
			testkit.Must(t, os.Rename(next, name))
		}
		testkit.Eventually(t, "the new one is shown", func() bool { return serial(t, a, l.Addr().String()) != before })
		before = serial(t, a, l.Addr().String())
	}
	if left := time.Until(c.NotAfter()); left < time.Hour {
		t.Errorf("it expires in %v", left)
	}
}
