package handshake

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func key(t testing.TB, secret string) Key {
	t.Helper()
	k, err := ReadKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func welcome() error { return nil }

func TestBothSidesProveTheirKeys(t *testing.T) {
	const one, other = "the first key of the two", "the second key of the two"
	for _, tt := range []struct {
		name                        string
		worker, coordinator         string
		welcome                     func() error
		wantWorker, wantCoordinator error
	}{
		{name: "the same key", worker: one, coordinator: one},
		{name: "no keys"},
		{name: "another key", worker: one, coordinator: other, wantWorker: ErrKey, wantCoordinator: ErrKey},
		{name: "the coordinator has none", worker: one, wantWorker: io.ErrUnexpectedEOF, wantCoordinator: ErrKeyAsked},
		{name: "the worker has none", coordinator: one, wantWorker: io.ErrUnexpectedEOF, wantCoordinator: ErrNoKey},
		{name: "busy", worker: one, coordinator: one, welcome: func() error { return ErrBusy }, wantWorker: ErrBusy, wantCoordinator: ErrBusy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			near, far := net.Pipe()
			worked := make(chan error, 1)
			if tt.welcome == nil {
				tt.welcome = welcome
			}
			go func() {
				worked <- Answer(bufio.NewReader(far), far, key(t, tt.worker), tt.welcome)
				_ = far.Close()
			}()
			err := Call(bufio.NewReader(near), near, key(t, tt.coordinator))
			_ = near.Close()
			if !errors.Is(err, tt.wantCoordinator) {
				t.Errorf("the coordinator: %v, want %v", err, tt.wantCoordinator)
			}
			if err := <-worked; !errors.Is(err, tt.wantWorker) {
				t.Errorf("the worker: %v, want %v", err, tt.wantWorker)
			}
		})
	}
}

// answer lets a worker hear the lines that say makes of its first one, and returns what it said after that.
func answer(t testing.TB, k Key, say func(hello string) string) (string, error) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	worked := make(chan error, 1)
	go func() {
		err := Answer(bufio.NewReader(far), far, k, welcome)
		_ = far.Close()
		worked <- err
	}()
	r := bufio.NewReader(near)
	hello, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(near, say(hello)) }()
	rest, _ := io.ReadAll(r)
	return string(rest), <-worked
}

func TestARecordedProofIsWorthNothing(t *testing.T) {
	k := key(t, "the key of both of them")
	var recorded string
	verdict, err := answer(t, k, func(hello string) string {
		var out bytes.Buffer
		_ = Call(bufio.NewReader(strings.NewReader(hello)), &out, k)
		recorded = out.String()
		return recorded
	})
	if err != nil || !strings.HasPrefix(verdict, "yes ") {
		t.Fatalf("the first time: %q, %v", verdict, err)
	}
	if verdict, err = answer(t, k, func(string) string { return recorded }); !errors.Is(err, ErrKey) || verdict != "no key\n" {
		t.Errorf("the second time: %q, %v", verdict, err)
	}
}

// A stranger who hands the worker's own lines back to it, or pretends to have proved, learns nothing.
func TestNoProofIsMadeForAStranger(t *testing.T) {
	k := key(t, "the key of both of them")
	nonce := strings.Repeat("ab", nonceSize)
	for name, say := range map[string]string{
		"no proof":          coordinatorMark + " 1 " + nonce + " -\n",
		"an empty proof":    coordinatorMark + " 1 " + nonce + " \n",
		"a made-up proof":   coordinatorMark + " 1 " + nonce + " " + strings.Repeat("00", 32) + "\n",
		"an HTTP request":   "GET / HTTP/1.1\n",
		"another version":   coordinatorMark + " 2 " + nonce + " -\n",
		"a short nonce":     coordinatorMark + " 1 abcd -\n",
		"no hex":            coordinatorMark + " 1 " + strings.Repeat("zz", nonceSize) + " -\n",
		"bytes":             "\x00\xff\x00\n",
		"a line too long":   strings.Repeat("x", 10*maxLine),
		"an order at once":  `{"Order":{"Do":"open"}}` + "\n",
		"the worker's line": workerMark + " 1 key " + nonce + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			verdict, err := answer(t, k, func(string) string { return say })
			if err == nil || strings.Contains(verdict, "yes") {
				t.Errorf("%q, %v", verdict, err)
			}
		})
	}
}

// Who only pretends to be the worker does not get further than the coordinator's proof, whose label is not the worker's.
func TestAFalseWorkerIsFound(t *testing.T) {
	k := key(t, "the key of both of them")
	for name, verdict := range map[string]func(call string) string{
		"no proof":                func(string) string { return "yes -\n" },
		"the coordinator's proof": func(call string) string { return "yes " + call[strings.LastIndexByte(call, ' ')+1:] },
		"an endless line":         func(string) string { return strings.Repeat("y", 10*maxLine) },
		"an unknown reason":       func(string) string { return "no idea\n" },
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			go func() {
				defer far.Close()
				fmt.Fprintf(far, "%s 1 key %x\n", workerMark, newNonce())
				call, _ := bufio.NewReader(far).ReadString('\n')
				_, _ = io.WriteString(far, verdict(call))
			}()
			if err := Call(bufio.NewReader(near), near, k); !errors.Is(err, ErrKey) && !errors.Is(err, ErrStranger) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestReadKey(t *testing.T) {
	const secret = "0123456789abcdef0123"
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "@" + path
	}
	for _, tt := range []struct {
		name, give, want, says string
	}{
		{name: "none"},
		{name: "itself", give: secret, want: secret},
		{name: "in a file", give: file(secret + "\n"), want: secret},
		{name: "the longest in a file", give: file(strings.Repeat("k", MaxKey) + "\r\n"), want: strings.Repeat("k", MaxKey)},
		{name: "short", give: "hunter2", says: "7 characters: give a key of 16 to 1024"},
		{name: "long", give: strings.Repeat("k", MaxKey+1), says: "1025 characters"},
		{name: "spaces", give: "   ", says: "nothing but spaces"},
		{name: "an empty file", give: file("\n"), says: "is empty"},
		{name: "a file too long", give: file(strings.Repeat("k", 5000)), says: "give a key of"},
		{name: "no such file", give: "@" + filepath.Join(t.TempDir(), "none"), says: "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := ReadKey(tt.give)
			if k.secret != tt.want || (err == nil) != (tt.says == "") {
				t.Fatalf("%d bytes, %v", len(k.secret), err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q gives the key away", err)
			}
		})
	}
}

func TestAKeyDoesNotPrint(t *testing.T) {
	k := key(t, "a key that nobody sees")
	type holder struct{ Key Key }
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, value := range []any{k, holder{k}, &holder{k}} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, "nobody") {
				t.Errorf("%s prints %s", format, text)
			}
		}
	}
}

// FuzzStranger lets strangers say anything to both sides: neither goes on without a proof, nor fails in another way.
func FuzzStranger(f *testing.F) {
	k := key(f, "the key of both of them")
	nonce := strings.Repeat("0f", nonceSize)
	f.Add([]byte(coordinatorMark + " 1 " + nonce + " " + nonce + "\n"))
	f.Add([]byte(workerMark + " 1 key " + nonce + "\nyes " + nonce + "\n"))
	f.Add([]byte(workerMark + " 1 open " + nonce + "\nno busy\n"))
	f.Add([]byte("\n\n   \n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		if Answer(bufio.NewReader(bytes.NewReader(said)), io.Discard, k, welcome) == nil {
			t.Error("the worker goes on")
		}
		if Call(bufio.NewReader(bytes.NewReader(said)), io.Discard, k) == nil {
			t.Error("the coordinator goes on")
		}
	})
}
