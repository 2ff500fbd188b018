package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

func TestMistakesInAddressesAndCertificatesSayWhatToChange(t *testing.T) {
	folder := t.TempDir()
	cert, key, ca := testkit.NewAuthority(t).IssueFiles(t, folder)
	_, otherKey, _ := testkit.NewAuthority(t).IssueFiles(t, t.TempDir())
	pair := []string{"--tls-cert-file=" + cert, "--tls-key-file=" + key}
	for _, c := range []struct {
		name string
		give []string
		want []string // parts of the error; none for being accepted
	}{
		{"a pair", pair, nil},
		{"client certificates", append(pair, "--tls-client-ca-file="+ca, "--tls-client-auth=optional"), nil},
		{"a certificate alone", []string{"--tls-cert-file=" + cert}, []string{"TLS_CERT_FILE and TLS_KEY_FILE go together"}},
		{"the key of another", []string{"--tls-cert-file=" + cert, "--tls-key-file=" + otherKey}, []string{"does not match"}},
		{"clients' CAs alone", []string{"--tls-client-ca-file=" + ca}, []string{"TLS_CLIENT_CA_FILE needs TLS_CERT_FILE"}},
		{"asked perhaps", append(pair, "--tls-client-auth=perhaps"), []string{"TLS_CLIENT_AUTH", "required, optional"}},
		{"a folder as the audit log", []string{"--audit-log=" + folder}, []string{"AUDIT_LOG", "no regular file"}},
		{"an audit log in no folder", []string{"--audit-log=" + folder + "/none/audit.log"}, []string{"AUDIT_LOG", "no directory"}},
		{"the process's log", []string{"--audit-log=-"}, nil},
		{"no port for operators", []string{"--admin-listen=127.0.0.1"}, []string{"--admin-listen", "not host:port"}},
		{"one address for both", []string{"--admin-listen=127.0.0.1:3001"}, []string{"--admin-listen 127.0.0.1:3001 and --listen 127.0.0.1:3001 are both"}},
		{"two names of one address", []string{"--admin-listen=localhost:3001"}, []string{"are both the same port of one address"}},
		{"operators in public", []string{"--admin-listen=0.0.0.0:3002"}, []string{"--admin-listen 0.0.0.0:3002 can be reached by others", "OPERATOR_PASSWORD"}},
		{"operators on loopback alone", []string{"--listen=0.0.0.0:3001", "--admin-listen=127.0.0.1:3002"}, []string{"--listen 0.0.0.0:3001", "anyone may publish"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse(t, c.give...)
			if (err == nil) != (c.want == nil) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not mention %q", err, part)
				}
			}
			if c.name == "operators on loopback alone" && strings.Contains(err.Error(), "dashboard") {
				t.Errorf("%q warns of the dashboard, which only this machine reaches", err)
			}
		})
	}
}

func TestWhatTLSAndTheAdminAddressExposeIsListed(t *testing.T) {
	cert, key, ca := testkit.NewAuthority(t).IssueFiles(t, t.TempDir())
	testkit.Must(t, os.Chmod(key, 0o604))
	c, err := parse(t, "--tls-cert-file="+cert, "--tls-key-file="+key, "--tls-client-ca-file="+ca, "--listen=0.0.0.0:3001", "--admin-listen=127.0.0.1:3002",
		"--allow-anonymous")
	testkit.Must(t, err)
	var all strings.Builder
	for _, s := range c.Surfaces() {
		all.WriteString(s.Name + "|" + s.Who + "|" + s.Setting + "\n")
	}
	all.WriteString(strings.Join(c.Warnings(), "\n"))
	for _, want := range []string{"read what goes over the network|nobody: TLS 1.2 or newer, the certificate is valid until 20",
		"connect at all|who has a certificate of a CA in TLS_CLIENT_CA_FILE|TLS_CLIENT_AUTH",
		"metrics: /metrics|programs on this machine|METRICS_AUTH", "publish: /api/v1/broadcast, …/broadcast|who reaches 0.0.0.0:3001|",
		"at 127.0.0.1:3002 alone|programs on this machine|ADMIN_LISTEN", "profiles: /debug/pprof/|programs on this machine|ADMIN_LISTEN",
		"expires at", "mode 0604"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%q is not in\n%s", want, &all)
		}
	}
}
