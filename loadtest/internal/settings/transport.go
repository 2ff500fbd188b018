package settings

import (
	"crypto/x509"
	"fmt"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strings"
)

// headerLine is a name and a value as RFC 9110 section 5 has them.
var headerLine = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\\x00-\\x08\\x0a-\\x1f\\x7f]*$")

// ownHeaders are set by the load tester, and by no flag.
var ownHeaders = []string{"Host", "Connection", "Upgrade", "Content-Length", "Content-Type", "Transfer-Encoding", "Accept", "User-Agent", "Expect", "Te", "Trailer"}

// headers checks the headers, and writes them as the lines that requests have.
func (p *Plan) headers(wrong *mistakes) {
	for _, text := range p.HeaderFlags {
		name, value, _ := strings.Cut(text, ":")
		name, value = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case !headerLine.MatchString(text):
			wrong.addf("header %q is not NAME: VALUE: write it like X-Forwarded-For: 192.0.2.7 (--header, HEADER)", text)
		case name == "Authorization":
			wrong.addf("header Authorization is made of tokens: give --token (TOKEN) or --publish-key (PUBLISH_KEY) instead")
		case slices.Contains(ownHeaders, name) || strings.HasPrefix(name, "Sec-Websocket-"):
			wrong.addf("header %s is the load tester's own: leave it out (--header, HEADER)", name)
		default:
			p.Header += name + ": " + value + "\r\n"
		}
	}
}

// certificates reads the file of CA certificates.
func (p *Plan) certificates(wrong *mistakes) {
	if p.CAFile == "" {
		return
	}
	var err error
	if p.CA, err = os.ReadFile(p.CAFile); err != nil {
		wrong.add(fmt.Errorf("--ca (CA_FILE): %w: name a file of certificates", err))
		return
	}
	if !x509.NewCertPool().AppendCertsFromPEM(p.CA) {
		wrong.addf("--ca (CA_FILE): %s has no certificate: give one in PEM, which begins with -----BEGIN CERTIFICATE-----", p.CAFile)
	}
	if !slices.ContainsFunc(append(slices.Clone(p.WSURLs), p.PublishBases...), func(u string) bool {
		return strings.HasPrefix(u, "wss:") || strings.HasPrefix(u, "https:")
	}) {
		wrong.addf("--ca (CA_FILE) has no effect without wss:// or https://: change --ws-url (WS_URL), or leave it out")
	}
}
