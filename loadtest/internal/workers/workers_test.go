//go:build linux

package workers

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/fake"
	"github.com/zonecast/zonecast/loadtest/internal/handshake"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
)

// startWorker starts a worker behind a listener, as elsewhere, and returns its address and log.
func startWorker(t *testing.T, key handshake.Key) (address string, log *fake.Lines) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log = &fake.Lines{}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		l := Listener{Key: key, Log: log}
		if err := l.Serve(ctx, listener); !errors.Is(err, net.ErrClosed) {
			t.Errorf("open: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); serving.Wait() })
	return listener.Addr().String(), log
}

func TestCommandsOverAConnection(t *testing.T) {
	address, _ := startWorker(t, handshake.Key{})
	w, uncertain, err := Dial(t.Context(), address, handshake.Key{}, func(*worker.Tick) {})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if uncertain <= 0 || uncertain > time.Second {
		t.Errorf("the clocks of one machine are known to %v", uncertain)
	}
	if _, err := w.Do(t.Context(), worker.Command{Do: worker.DoConnect}); err == nil || !strings.Contains(err.Error(), "no job yet") {
		t.Errorf("an order before the job: %v", err)
	}
	job := &worker.Job{Run: stamp.NewRun(), Protocol: "zonecast", Rooms: []string{"zone:w:a"}, PayloadBytes: 128}
	if _, err := w.Do(t.Context(), worker.Command{Do: worker.DoOpen, Job: job}); err != nil {
		t.Fatal(err)
	}
	// What takes long ends when it is told to.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	a, err := w.Do(ctx, worker.Command{Do: worker.DoSend, Step: &worker.Step{Start: client.Now(), Duration: time.Hour}})
	if err != nil || a.Stopped != worker.StoppedByOrder {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err = w.Do(t.Context(), worker.Command{Do: worker.DoSettle}); err != nil || a.Partial == nil || len(a.Partial.Rooms) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := w.Do(t.Context(), worker.Command{Do: "dance"}); err == nil || !strings.Contains(err.Error(), "unknown command: dance") {
		t.Errorf("an unknown order: %v", err)
	}
}

func TestABrokenConnectionIsReported(t *testing.T) {
	near, other := net.Pipe()
	w := newClient("the worker", newLink(near, near), 0, func(*worker.Tick) {})
	_ = other.Close()
	if _, err := w.Do(t.Context(), worker.Command{Do: worker.DoConnect}); err == nil || !strings.Contains(err.Error(), "the worker: its process ended") {
		t.Errorf("error %v", err)
	}
	w.Close()
}

func TestNoListener(t *testing.T) {
	if _, _, err := Dial(t.Context(), "127.0.0.1:1", handshake.Key{}, nil); err == nil || !strings.Contains(err.Error(), "loadtest worker --listen 127.0.0.1:1") {
		t.Errorf("error %v", err)
	}
}
