package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// Instances that leave one after the other, behind the repository's nginx.conf, fail no publish,
// although nginx keeps connections to them and polls run.
func TestPromiseLeavingFailsNoPublishThroughNginx(t *testing.T) {
	s := stacktest.Start(t, stack.Options{Root: repository, Binary: binary(), Instances: 3, Redis: true, Nginx: true,
		Settings: map[string]string{"DRAIN_DELAY": "200ms", "DRAIN_TIMEOUT": "6s"}})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range 12 {
		running.Go(func() { pollOn(ctx, s.Nginx.URL) })
	}
	var sent, failed atomic.Int64
	for range 6 {
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				sent.Add(1)
				if _, err := post(s.Nginx.URL, "rolling", "", body(n)); err != nil {
					failed.Add(1)
					t.Logf("publish: %v", err)
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	for range 2 {
		for _, i := range s.Instances {
			testkit.Must(t, i.Stop(t.Context()))
			testkit.Must(t, i.Start(t.Context()))
			log, err := os.ReadFile(i.Log())
			if err != nil || !strings.Contains(string(log), `msg=left why="terminated signal received"`) {
				t.Errorf("%s does not say why it left: %v", i.Name(), err)
			}
		}
	}
	stop()
	running.Wait()
	if failed.Load() > 0 || sent.Load() < 500 {
		t.Errorf("%d of %d publishes failed", failed.Load(), sent.Load())
	}
}

// pollOn polls until ctx ends, as a client does.
func pollOn(ctx context.Context, base string) {
	for cursor := ""; ctx.Err() == nil; {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/poll?warehouse=warehouse-1&zone=rolling&cursor="+cursor, nil)
		if err != nil {
			return
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			continue
		}
		var told struct {
			Cursor     string
			RetryAfter int64
		}
		if json.NewDecoder(answer.Body).Decode(&told) == nil && answer.StatusCode == http.StatusOK {
			cursor = told.Cursor
		}
		answer.Body.Close()
		time.Sleep(time.Duration(told.RetryAfter) * time.Millisecond)
	}
}

// While an instance takes leave it says so to probes, and serves everybody as before for
// DRAIN_DELAY: those who are there, those who come, and publishers.
func TestPromiseLameDuckServes(t *testing.T) {
	const delay = 5 * time.Second
	s := shared(t, 2, map[string]string{"DRAIN_DELAY": delay.String(), "DRAIN_TIMEOUT": "4s"})
	leaver, other := s.Instances[0], s.Instances[1]
	early := dial(t, leaver.WebSocket()+"?warehouse=warehouse-1&zone=duck")
	began := time.Now()
	ended := make(chan error, 1)
	go func() { // as a preStop hook does
		ended <- exec.CommandContext(t.Context(), binary(), "drain", "--pid", strconv.Itoa(leaver.PID())).Run()
	}()
	testkit.Succeeds(t, "the probe is told", func() error {
		if answer := get(t, leaver.URL+"/readyz"); answer.StatusCode != http.StatusServiceUnavailable {
			return errors.New(answer.Status)
		}
		return nil
	})
	late := dial(t, leaver.WebSocket()+"?warehouse=warehouse-1&zone=duck")
	at := send(t, leaver.URL, "duck", body(1))
	for name, c := range map[string]*client{"early": early, "late": late} {
		if got := c.next("ZONE_UPDATE"); got.Offset != at.String() {
			t.Errorf("the %s client got %s, want %s", name, got.Offset, at)
		}
	}
	early.next("drain")
	if waited := time.Since(began); waited < delay {
		t.Errorf("told to go after %v, want not before DRAIN_DELAY", waited)
	}
	testkit.Must(t, <-ended)
	testkit.Eventually(t, "it is gone", func() bool { return leaver.PID() == 0 })
	testkit.Must(t, leaver.Kill()) // somebody else ended it: that is settled
	send(t, other.URL, "duck", body(2))
	testkit.Must(t, leaver.Start(t.Context()))
}
