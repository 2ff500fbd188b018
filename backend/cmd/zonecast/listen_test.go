package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// over asks for a page over a Unix socket.
func over(t *testing.T, socket, path string, header http.Header) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}
	r, err := http.NewRequest(http.MethodGet, "http://localhost"+path, nil)
	testkit.Must(t, err)
	r.Header = header
	answer, err := client.Do(r)
	testkit.Must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	testkit.Must(t, err)
	return answer.StatusCode, string(text)
}

func TestServesOnEveryAddress(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "http.sock")
	s := serving(t, "--listen=127.0.0.1:0,unix:"+socket, "--trusted-proxies=127.0.0.1/32", "--max-connections-per-address=1")
	answer, _ := s.ask(t, http.MethodGet, "/livez")
	if status, _ := over(t, socket, "/livez", nil); status != http.StatusOK || answer.StatusCode != http.StatusOK {
		t.Errorf("the port answers %d, the socket %d", answer.StatusCode, status)
	}
	// A peer at the socket is this machine, which can be a trusted proxy as any other.
	dialer := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return net.Dial("unix", socket) }}
	for _, tt := range []struct {
		client string
		let    bool
	}{{"192.0.2.7", true}, {"192.0.2.8", true}, {"192.0.2.7", false}} {
		c, _, err := dialer.Dial("ws://localhost/ws?warehouse=w", http.Header{"X-Forwarded-For": {tt.client}})
		if err == nil {
			defer c.Close()
		}
		if (err == nil) != tt.let {
			t.Errorf("a client of %s, of which one is let in: %v", tt.client, err)
		}
	}
}

func TestASocketThatNobodyListensOnIsReplaced(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "http.sock")
	left, err := net.Listen("unix", socket)
	testkit.Must(t, err)
	if _, err := listenUnix(socket); err == nil || !strings.Contains(err.Error(), "another process listens there") {
		t.Errorf("the socket of another process: %v", err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	testkit.Must(t, left.Close())
	l, err := listenUnix(socket)
	testkit.Must(t, err)
	testkit.Must(t, l.Close())
	testkit.Must(t, os.WriteFile(socket, []byte("a file of somebody"), 0o600))
	if _, err := listenUnix(socket); err == nil {
		t.Error("a file that is no socket was replaced")
	}
}

// The program takes over the sockets of systemd, and leaves them as they were: what connects while
// nobody serves waits for the next process.
func TestSocketsOfSystemdOutliveTheProcess(t *testing.T) {
	if socket := os.Getenv("ZONECAST_TEST_ACTIVATED"); socket != "" {
		os.Exit(run([]string{"--listen=systemd", "--allow-anonymous", "--drain-delay=0s", "--log-level=error"}, os.Stdout, os.Stderr))
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	testkit.Must(t, err)
	defer l.Close()
	file, err := l.File()
	testkit.Must(t, err)
	defer file.Close()
	for range 2 {
		// The shell knows its own process id, which systemd would set.
		server := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run '^TestSocketsOfSystemdOutliveTheProcess$'`, os.Args[0])
		server.Env = append(os.Environ(), "LISTEN_FDS=1", "ZONECAST_TEST_ACTIVATED=1")
		server.ExtraFiles, server.Stderr = []*os.File{file}, os.Stderr
		testkit.Must(t, server.Start())
		answer, err := http.Get("http://" + l.Addr().String() + "/livez") // which waits for the process
		testkit.Must(t, err)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("answered %d", answer.StatusCode)
		}
		http.DefaultClient.CloseIdleConnections()
		testkit.Must(t, server.Process.Signal(os.Interrupt))
		testkit.Must(t, server.Wait())
	}
}

func TestSystemdIsNamedWhenItHandedNothingOver(t *testing.T) {
	if _, err := inheritedListeners("admin"); err == nil || !strings.Contains(err.Error(), "socket unit") {
		t.Errorf("got %v", err)
	}
}
