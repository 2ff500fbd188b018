// Package handshake lets a coordinator and a worker on another machine prove to one another that they have the same key,
// without sending it, before anything else goes over the line.
//
//	coordinator                                            worker
//	Call    ◀── zonecast-worker 1 key NONCE ────────────   Answer      "open" in place of "key": it asks for none
//	        ─── zonecast-loadtest 1 NONCE PROOF ────────▶                "-" for no proof
//	        ◀── yes PROOF, or: no REASON ───────────────
//
// A proof is HMAC-SHA-256 (RFC 2104) with the key over who proves, and over the fresh nonces of both: one that was recorded
// is worth nothing to another nonce, and one side's is worth nothing as the other's. The worker, whom anyone can reach,
// proves itself last. Each line has at most [maxLine] bytes. What follows the handshake is neither encrypted nor signed.
package handshake

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	maxLine   = 256 // bytes of a line, with its end
	nonceSize = 32

	workerMark      = "zonecast-worker"
	coordinatorMark = "zonecast-loadtest"
	version         = "1"
	none            = "-"
)

// Why a handshake fails.
var (
	ErrStranger = errors.New("what it says is no handshake of this load tester")
	ErrKey      = errors.New("its key is another one")
	ErrNoKey    = errors.New("it has no key")
	ErrKeyAsked = errors.New("it asks for a key")
	ErrBusy     = errors.New("it works for somebody else")
)

// reasons are what a worker says when it refuses, and what a coordinator understands by it.
var reasons = map[string]error{"key": ErrKey, "busy": ErrBusy}

type nonce [nonceSize]byte

func newNonce() (n nonce) {
	_, _ = rand.Read(n[:]) // never fails: the program ends if the system has no randomness
	return n
}

func (k Key) proof(by string, worker, coordinator nonce) string {
	mac := hmac.New(sha256.New, []byte(k.secret))
	mac.Write([]byte(by))
	mac.Write(worker[:])
	mac.Write(coordinator[:])
	return hex.EncodeToString(mac.Sum(nil))
}

// proves compares in constant time.
func (k Key) proves(proof, by string, worker, coordinator nonce) bool {
	return hmac.Equal([]byte(proof), []byte(k.proof(by, worker, coordinator)))
}

// Answer is the worker's side. The caller sets the deadline. Of two errors it returns the first; a coordinator with another
// key is told so. welcome is asked when the key was right, and may say [ErrBusy].
func Answer(r *bufio.Reader, w io.Writer, key Key, welcome func() error) error {
	mine, kind := newNonce(), "open"
	if key.Set() {
		kind = "key"
	}
	if _, err := fmt.Fprintf(w, "%s %s %s %x\n", workerMark, version, kind, mine); err != nil {
		return err
	}
	theirs, proof, err := readCall(r)
	if err != nil {
		return err
	}
	answer := none
	if key.Set() {
		if proof == none {
			return refuse(w, ErrKey, ErrNoKey)
		}
		if !key.proves(proof, coordinatorMark, mine, theirs) {
			return refuse(w, ErrKey, ErrKey)
		}
		answer = key.proof(workerMark, mine, theirs)
	}
	if err := welcome(); err != nil {
		return refuse(w, ErrBusy, err)
	}
	_, err = fmt.Fprintf(w, "yes %s\n", answer)
	return err
}

// refuse tells the other side one reason and returns the other.
func refuse(w io.Writer, told, why error) error {
	for reason, err := range reasons {
		if err == told {
			_, _ = fmt.Fprintf(w, "no %s\n", reason) // whoever does not hear it sees the line end
		}
	}
	return why
}

// Call is the coordinator's side. The caller sets the deadline. With a key it goes on with a worker that proves the same one,
// and with nobody else.
func Call(r *bufio.Reader, w io.Writer, key Key) error {
	theirs, asks, err := readHello(r)
	switch {
	case err != nil:
		return err
	case asks && !key.Set():
		return ErrKeyAsked
	case !asks && key.Set():
		return ErrNoKey
	}
	mine, proof := newNonce(), none
	if key.Set() {
		proof = key.proof(coordinatorMark, theirs, mine)
	}
	if _, err := fmt.Fprintf(w, "%s %s %x %s\n", coordinatorMark, version, mine, proof); err != nil {
		return err
	}
	proof, err = readVerdict(r)
	if err != nil {
		return err
	}
	if key.Set() && !key.proves(proof, workerMark, theirs, mine) {
		return ErrKey
	}
	return nil
}

// readLine reads a line of words.
func readLine(r *bufio.Reader) ([]string, error) {
	var line []byte
	for len(line) < maxLine {
		c, err := r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if c == '\n' {
			return strings.Split(string(line), " "), nil
		}
		line = append(line, c)
	}
	return nil, ErrStranger
}

// readHello reads what a worker says first, and whether it asks for a key.
func readHello(r *bufio.Reader) (n nonce, asks bool, err error) {
	words, err := readLine(r)
	if err != nil {
		return n, false, err
	}
	if len(words) != 4 || words[0] != workerMark || words[2] != "key" && words[2] != "open" {
		return n, false, ErrStranger
	}
	n, err = parseNonce(words[1], words[3])
	return n, words[2] == "key", err
}

// readCall reads what a coordinator says.
func readCall(r *bufio.Reader) (n nonce, proof string, err error) {
	words, err := readLine(r)
	if err != nil {
		return n, "", err
	}
	if len(words) != 4 || words[0] != coordinatorMark {
		return n, "", ErrStranger
	}
	n, err = parseNonce(words[1], words[2])
	return n, words[3], err
}

// readVerdict reads how a worker decides.
func readVerdict(r *bufio.Reader) (proof string, err error) {
	words, err := readLine(r)
	switch {
	case err != nil:
		return "", err
	case len(words) == 2 && words[0] == "yes":
		return words[1], nil
	case len(words) == 2 && words[0] == "no" && reasons[words[1]] != nil:
		return "", reasons[words[1]]
	}
	return "", ErrStranger
}

func parseNonce(v, text string) (n nonce, err error) {
	if v != version {
		return n, fmt.Errorf("%w: its version is %.20q, this one's %s; use the same program on all machines", ErrStranger, v, version)
	}
	if len(text) != 2*nonceSize {
		return n, ErrStranger
	}
	if _, err := hex.Decode(n[:], []byte(text)); err != nil {
		return n, ErrStranger
	}
	return n, nil
}
