// Package handshake authenticates a coordinator and a worker on another machine to one another, by
// a key that both have and that is never sent, and encrypts their connection.
//
//	coordinator                                            worker
//	Client  ◀── TLS 1.3, a certificate for this once ───▶  Server
//	        ◀── zonecast-worker 3 key ──────────────────           or "open": no key
//	        ─── zonecast-loadtest 3 PROOF ──────────────▶          "-" for no proof
//	        ◀── yes PROOF, or: no REASON ───────────────
//
// The certificate is not checked; the proofs authenticate. A proof is HMAC-SHA-256 (RFC 2104) with
// the key over who proves, and over the keying material that TLS exports to both ends of this one
// connection (RFC 5705, RFC 9266). So a proof is worth nothing on another connection, replayed or
// relayed by a man in the middle, and one side's is worth nothing as the other's. The worker, which
// anyone can reach, proves itself last. Each line has at most [maxLine] bytes.
package handshake

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
)

const (
	maxLine     = 256 // bytes of a line, with its end
	bindingSize = 32

	workerPrefix      = "zonecast-worker"
	coordinatorPrefix = "zonecast-loadtest"
	version           = "3"
	noProof           = "-"

	// exporterLabel is the label of what TLS tells both ends; an own name, as none is registered.
	exporterLabel = "EXPORTER-zonecast-loadtest"
)

// Why a handshake fails.
var (
	ErrProtocol    = errors.New("this is not the handshake of this load tester")
	ErrWrongKey    = errors.New("the keys differ")
	ErrNoKey       = errors.New("it has no key")
	ErrKeyRequired = errors.New("it requires a key")
	ErrBusy        = errors.New("it is busy with another run")
)

// reasons are the refusals of a worker, by their name in the handshake.
var reasons = map[string]error{"key": ErrWrongKey, "busy": ErrBusy}

// A binding is the secret that TLS exports to both ends of one connection.
type binding [bindingSize]byte

// channelBinding ends TLS's own handshake.
func channelBinding(conn *tls.Conn) (b binding, err error) {
	if err := conn.Handshake(); err != nil {
		return b, protocolError(err)
	}
	state := conn.ConnectionState()
	secret, err := state.ExportKeyingMaterial(exporterLabel, nil, bindingSize)
	copy(b[:], secret)
	return b, err
}

// protocolError wraps the other side's faults, and leaves errors of the network as they are.
func protocolError(err error) error {
	var network net.Error
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &network) && network.Timeout() {
		return err
	}
	return fmt.Errorf("%w (%w)", ErrProtocol, err)
}

func (k Key) proof(by string, b binding) string {
	mac := hmac.New(sha256.New, []byte(k.secret))
	mac.Write([]byte(by))
	mac.Write(b[:])
	return hex.EncodeToString(mac.Sum(nil))
}

// verify compares in constant time.
func (k Key) verify(proof, by string, b binding) bool {
	return hmac.Equal([]byte(proof), []byte(k.proof(by, b)))
}

// A Certificate is what a worker shows to TLS, which wants to see something.
type Certificate struct{ config *tls.Config }

// NewCertificate makes a certificate that is valid for nothing: no name, no time, no use.
func NewCertificate() (Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Certificate{}, err
	}
	blank := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, blank, blank, public, private)
	if err != nil {
		return Certificate{}, err
	}
	return Certificate{&tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
		SessionTicketsDisabled: true, // no connection has anything to do with another one
	}}, nil
}

// Server is the worker's side, and returns the line from then on. The caller sets the deadline, and
// ends the connection. Of two errors it returns the first; a coordinator with another key is told
// so. welcome is asked when the key was right, and may say [ErrBusy].
func Server(raw net.Conn, papers Certificate, key Key, welcome func() error) (net.Conn, error) {
	conn := tls.Server(raw, papers.config)
	b, err := channelBinding(conn)
	if err != nil {
		return nil, err
	}
	return conn, serverHandshake(conn, b, key, welcome)
}

func serverHandshake(conn io.ReadWriter, b binding, key Key, welcome func() error) error {
	kind := "open"
	if key.Set() {
		kind = "key"
	}
	if _, err := fmt.Fprintf(conn, "%s %s %s\n", workerPrefix, version, kind); err != nil {
		return err
	}
	proof, err := readPrefixed(conn, coordinatorPrefix)
	if err != nil {
		return err
	}
	own := noProof
	if key.Set() {
		if proof == noProof {
			return refuse(conn, ErrWrongKey, ErrNoKey)
		}
		if !key.verify(proof, coordinatorPrefix, b) {
			return refuse(conn, ErrWrongKey, ErrWrongKey)
		}
		own = key.proof(workerPrefix, b)
	}
	if err := welcome(); err != nil {
		return refuse(conn, ErrBusy, err)
	}
	_, err = fmt.Fprintf(conn, "yes %s\n", own)
	return err
}

// refuse sends one reason and returns the other.
func refuse(w io.Writer, told, why error) error {
	for reason, err := range reasons {
		if err == told {
			_, _ = fmt.Fprintf(w, "no %s\n", reason) // whoever does not hear it sees the line end
		}
	}
	return why
}

// Client is the coordinator's side, and returns the line from then on. The caller sets the
// deadline, and ends the connection. With a key it goes on only if the worker proves the same.
func Client(raw net.Conn, key Key) (net.Conn, error) {
	conn := tls.Client(raw, &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // what shows who the worker is, is its proof, which is bound to this connection
	})
	b, err := channelBinding(conn)
	if err != nil {
		return nil, err
	}
	return conn, clientHandshake(conn, b, key)
}

func clientHandshake(conn io.ReadWriter, b binding, key Key) error {
	asks, err := readGreeting(conn)
	switch {
	case err != nil:
		return err
	case asks && !key.Set():
		return ErrKeyRequired
	case !asks && key.Set():
		return ErrNoKey
	}
	proof := noProof
	if key.Set() {
		proof = key.proof(coordinatorPrefix, b)
	}
	if _, err := fmt.Fprintf(conn, "%s %s %s\n", coordinatorPrefix, version, proof); err != nil {
		return err
	}
	proof, err = readResult(conn)
	if err != nil {
		return err
	}
	if key.Set() && !key.verify(proof, workerPrefix, b) {
		return ErrWrongKey
	}
	return nil
}

// readLine reads one line and not a byte more, since what follows belongs to the caller.
func readLine(r io.Reader) ([]string, error) {
	var line []byte
	var c [1]byte
	for len(line) < maxLine {
		if _, err := io.ReadFull(r, c[:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if c[0] == '\n' {
			return strings.Split(string(line), " "), nil
		}
		line = append(line, c[0])
	}
	return nil, ErrProtocol
}

// readGreeting reads a worker's first line.
func readGreeting(r io.Reader) (asks bool, err error) {
	kind, err := readPrefixed(r, workerPrefix)
	if err == nil && kind != "key" && kind != "open" {
		err = ErrProtocol
	}
	return kind == "key", err
}

// readPrefixed reads a line that begins with a mark and the version, and returns its last word.
func readPrefixed(r io.Reader, mark string) (last string, err error) {
	words, err := readLine(r)
	if err != nil {
		return "", err
	}
	if len(words) != 3 || words[0] != mark {
		return "", ErrProtocol
	}
	if words[1] != version {
		return "", fmt.Errorf("%w: its version is %.20q, this one's %s; use the same program on all machines", ErrProtocol, words[1], version)
	}
	return words[2], nil
}

// readResult reads a worker's second line.
func readResult(r io.Reader) (proof string, err error) {
	words, err := readLine(r)
	switch {
	case err != nil:
		return "", err
	case len(words) == 2 && words[0] == "yes":
		return words[1], nil
	case len(words) == 2 && words[0] == "no" && reasons[words[1]] != nil:
		return "", reasons[words[1]]
	}
	return "", ErrProtocol
}
