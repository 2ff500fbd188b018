package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/zonecast/zonecast/backend/internal/certs"
)

// TLS has the settings of TLS without a proxy.
type TLS struct {
	TLSCertFile     string `name:"tls-cert-file" env:"TLS_CERT_FILE" placeholder:"FILE" help:"Certificate (PEM) of the server, with those between it and its CA: it speaks TLS then, 1.2 or newer, and nothing else. Read again when it changes, and on SIGHUP. Default: plain HTTP."`
	TLSKeyFile      string `name:"tls-key-file" env:"TLS_KEY_FILE" placeholder:"FILE" help:"Key (PEM) of the certificate."`
	TLSClientCAFile string `name:"tls-client-ca-file" env:"TLS_CLIENT_CA_FILE" placeholder:"FILE" help:"CA certificates (PEM) of clients, which are asked for a certificate at LISTEN then."`
	TLSClientAuth   string `name:"tls-client-auth" env:"TLS_CLIENT_AUTH" default:"required" help:"With TLS_CLIENT_CA_FILE: required = nobody connects without a certificate; optional = one that is given must be valid."`
}

// HasTLS reports whether the server speaks TLS.
func (t *TLS) HasTLS() bool { return t.TLSCertFile != "" && t.TLSKeyFile != "" }

const optional = "optional"

// Certificates are the settings as package certs takes them.
func (t *TLS) Certificates() certs.Options {
	return certs.Options{CertFile: t.TLSCertFile, KeyFile: t.TLSKeyFile, ClientCAFile: t.TLSClientCAFile, ClientOptional: t.TLSClientAuth == optional}
}

func (t *TLS) check() error {
	var errs []error
	if (t.TLSCertFile == "") != (t.TLSKeyFile == "") {
		errs = append(errs, errors.New("TLS_CERT_FILE and TLS_KEY_FILE go together: give both or neither"))
	}
	if t.TLSClientCAFile != "" && !t.HasTLS() {
		errs = append(errs, errors.New("TLS_CLIENT_CA_FILE needs TLS_CERT_FILE and TLS_KEY_FILE: set them, or leave it out"))
	}
	if t.TLSClientAuth != "required" && t.TLSClientAuth != optional {
		errs = append(errs, fmt.Errorf("TLS_CLIENT_AUTH %q is not one of required, optional", t.TLSClientAuth))
	}
	if t.HasTLS() {
		_, err := certs.Load(t.Certificates())
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// surfaces says who can read along, and who is asked for a certificate.
func (t *TLS) surfaces(reach string) []Surface {
	if !t.HasTLS() {
		return []Surface{{"read what goes over the network", "who is on the way, without TLS at a proxy", "TLS_CERT_FILE"}}
	}
	end := "?"
	if loaded, err := certs.Load(t.Certificates()); err == nil {
		end = loaded.NotAfter().Format(time.DateOnly)
	}
	all := []Surface{{"read what goes over the network", "nobody: TLS 1.2 or newer, the certificate is valid until " + end, "TLS_CERT_FILE"}}
	switch {
	case t.TLSClientCAFile == "":
	case t.TLSClientAuth == optional:
		all = append(all, Surface{"connect at all", reach + "; a certificate that is given must be valid", "TLS_CLIENT_AUTH"})
	default:
		all = append(all, Surface{"connect at all", "who has a certificate of a CA in TLS_CLIENT_CA_FILE", "TLS_CLIENT_AUTH"})
	}
	return all
}

func (t *TLS) warnings() []string {
	if !t.HasTLS() {
		return nil
	}
	loaded, err := certs.Load(t.Certificates())
	if err != nil {
		return nil // reported by Check
	}
	return loaded.Warnings(time.Now())
}
