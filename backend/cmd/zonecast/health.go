package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// healthCommand is for images that have no other program to ask with.
type healthCommand struct {
	URL      string `default:"http://127.0.0.1:3001/readyz" help:"What to ask."`
	Insecure bool   `help:"Take any certificate, for asking this machine itself."`
	CertFile string `placeholder:"FILE" help:"Certificate (PEM) to show, where TLS_CLIENT_CA_FILE asks for one."`
	KeyFile  string `placeholder:"FILE" help:"Its private key."`
}

// Run is called by kong.
func (c *healthCommand) Run(ctx context.Context, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return &startError{fmt.Errorf("--url: %w", err)}
	}
	secure := &tls.Config{InsecureSkipVerify: c.Insecure}
	if c.CertFile != "" || c.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return &startError{fmt.Errorf("--cert-file and --key-file: %w", err)}
		}
		secure.Certificates = []tls.Certificate{pair}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: secure}}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.URL, err)
	}
	said := strings.TrimSpace(string(body))
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", c.URL, answer.Status, said)
	}
	fmt.Fprintln(stdout, said)
	return nil
}
