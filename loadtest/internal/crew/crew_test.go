//go:build linux

package crew

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/swarm"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
)

// far starts a worker behind a line, as on another machine, and returns its address.
func far(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if err := Serve(context.Background(), conn, conn); err != nil && !strings.Contains(err.Error(), "closed") {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return listener.Addr().String()
}

func TestOrdersGoOverTheLine(t *testing.T) {
	mate, uncertain, err := Dial(t.Context(), far(t), func(*worker.Tick) {})
	if err != nil {
		t.Fatal(err)
	}
	defer mate.Close()
	if uncertain <= 0 || uncertain > time.Second {
		t.Errorf("the clocks of one machine are known to %v", uncertain)
	}
	if _, err := mate.Do(t.Context(), worker.Order{Do: worker.DoConnect}); err == nil || !strings.Contains(err.Error(), "no job yet") {
		t.Errorf("an order before the job: %v", err)
	}
	job := &worker.Job{Run: stamp.NewRun(), Dialect: "zonecast", Rooms: []string{"zone:w:a"}, PayloadBytes: 128}
	if _, err := mate.Do(t.Context(), worker.Order{Do: worker.DoOpen, Job: job}); err != nil {
		t.Fatal(err)
	}
	// What takes long ends when it is told to.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	a, err := mate.Do(ctx, worker.Order{Do: worker.DoSend, Step: &worker.Step{Start: swarm.Now(), Duration: time.Hour}})
	if err != nil || a.Stopped != worker.StoppedByOrder {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err = mate.Do(t.Context(), worker.Order{Do: worker.DoSettle}); err != nil || a.Partial == nil || len(a.Partial.Rooms) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := mate.Do(t.Context(), worker.Order{Do: "dance"}); err == nil || !strings.Contains(err.Error(), "no such order: dance") {
		t.Errorf("an unknown order: %v", err)
	}
}

func TestALineThatBreaksIsSaid(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, other := net.Pipe()
	mate := remote("the worker", near, near, 0, func(*worker.Tick) {})
	_ = other.Close()
	if _, err := mate.Do(t.Context(), worker.Order{Do: worker.DoConnect}); err == nil || !strings.Contains(err.Error(), "the worker: its process ended") {
		t.Errorf("error %v", err)
	}
	mate.Close()
}

func TestNobodyThere(t *testing.T) {
	if _, _, err := Dial(t.Context(), "127.0.0.1:1", nil); err == nil || !strings.Contains(err.Error(), "loadtest worker --listen 127.0.0.1:1") {
		t.Errorf("error %v", err)
	}
}
