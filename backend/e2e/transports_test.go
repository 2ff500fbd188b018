package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// A client that is forced from one transport to the next, and from one instance to the other, gets
// each message once, in order, while publishers publish as fast as they can.
func TestPromiseResumeAcrossTransports(t *testing.T) {
	s := shared(t, 2, map[string]string{"HISTORY_MESSAGES": "100000"})
	const publishers, each, travellers = 3, 1000, 2
	first := send(t, s.Instances[0].URL, "across", body(0))
	var publishing sync.WaitGroup
	defer publishing.Wait()
	for p := range publishers {
		publishing.Go(func() {
			for n := range each {
				if _, err := post(s.Instances[p%2].URL, "across", "", body(n)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	t.Run("meanwhile", func(t *testing.T) { // it ends with its subtests
		for k := range travellers {
			t.Run(fmt.Sprint("client ", k), func(t *testing.T) {
				t.Parallel()
				v := begin(t, first, "across")
				for turn := k; v.got < publishers*each; turn++ {
					v.turn(turn, s.Instances[turn%2].URL, min(uint64(40+13*turn%60), publishers*each-v.got))
				}
			})
		}
	})
}

// The stream reaches the client event by event: nginx holds nothing back, and what clients send
// goes through too.
func streamsFlow(t *testing.T, s *stack.Stack) {
	events := transporttest.ReadEvents(stream(t, s.Nginx.URL+"/sse?warehouse=warehouse-1&zone=zone-a"))
	next := func() transporttest.Event {
		t.Helper()
		for {
			e, err := events.Next()
			testkit.Must(t, err)
			if !e.Frame.Retained && e.Frame.Event != wire.EventHeartbeat {
				return e
			}
		}
	}
	if e := next(); e.Frame.Event != wire.EventConnected {
		t.Fatalf("the first event is %+v", e)
	}
	for n := range 10 { // each one while the stream goes on
		at := send(t, s.Nginx.URL, "zone-a", body(n))
		if e := next(); e.Frame.Offset != at.String() {
			t.Fatalf("message %d is %+v, want %s", n, e, at)
		}
	}
	for _, path := range []string{"/sse", "/poll"} {
		answer, err := http.Post(s.Nginx.URL+path, "application/json", strings.NewReader(`{"event":"echo","data":"there","id":3}`))
		testkit.Must(t, err)
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if string(text) != `{"event":"ack","id":3,"data":"there"}` {
			t.Errorf("POST %s: %s %s", path, answer.Status, text)
		}
	}
}

func pollsAnswer(t *testing.T, s *stack.Stack) {
	at := send(t, s.Nginx.URL, "polled", body(0))
	v := begin(t, at, "polled")
	for n := range 5 {
		send(t, s.Nginx.URL, "polled", body(n))
	}
	v.poll(s.Nginx.URL, 5)
}

// SIGTERM ends streams and polls politely, within the drain time and with exit code 0; the clients
// go on elsewhere and miss nothing.
func TestPromiseLeavingOverSSEAndPoll(t *testing.T) {
	s := shared(t, 2, map[string]string{"DRAIN_TIMEOUT": "4s"})
	leaver, other := s.Instances[0], s.Instances[1]
	at := send(t, other.URL, "leave", body(0))
	const each = 4
	var clients sync.WaitGroup
	var told atomic.Int64
	var resumed [2 * each]*traveller
	for i := range resumed {
		v := begin(t, at, "leave")
		resumed[i] = v
		clients.Go(func() {
			var err error
			if i%2 == 0 {
				err = streamToTheEnd(t.Context(), leaver.URL, v.cursor)
			} else {
				err = pollToTheEnd(t.Context(), leaver.URL, v.cursor)
			}
			if err != nil {
				t.Error(err)
				return
			}
			told.Add(1)
		})
	}
	testkit.Succeeds(t, "all are there", func() error {
		streams := metric(t, leaver.URL, `zonecast_connections{transport="sse"}`)
		polls := metric(t, leaver.URL, `zonecast_connections{transport="poll"}`)
		if streams != each || polls != each {
			return fmt.Errorf("%v streams and %v polls", streams, polls)
		}
		return nil
	})
	if err := leaver.Stop(t.Context()); err != nil {
		t.Errorf("the instance ended with %v", err)
	}
	clients.Wait()
	if told.Load() != 2*each {
		t.Errorf("%d of %d clients were told when to come back", told.Load(), 2*each)
	}
	for n := range 3 {
		send(t, other.URL, "leave", body(n))
	}
	for i, v := range resumed {
		v.turn(1+i%2, other.URL, 3)
	}
	testkit.Must(t, leaver.Start(t.Context()))
}

// streamToTheEnd reads a stream until it is closed, and fails unless it was told to come back, and
// why it ended.
func streamToTheEnd(ctx context.Context, base string, cursor wire.Cursor) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/sse?cursor="+cursor.String(), nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	events, drained := transporttest.ReadEvents(answer.Body), false
	for {
		e, err := events.Next()
		switch {
		case err != nil:
			return fmt.Errorf("the stream ended without a word: %w", err)
		case e.Frame.Event == wire.EventDrain:
			drained = e.Retry != ""
		case e.Name == "close":
			if !drained || !strings.Contains(e.Data, `"code":1012`) {
				return fmt.Errorf("closed with %s, drained %v", e.Data, drained)
			}
			if _, err := events.Next(); err != io.EOF {
				return fmt.Errorf("after close: %w", err)
			}
			return nil
		}
	}
}

// pollToTheEnd polls once, and fails unless the answer says when to come back.
func pollToTheEnd(ctx context.Context, base string, cursor wire.Cursor) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/poll?cursor="+cursor.String(), nil)
	if err != nil {
		return err
	}
	began := time.Now()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var a struct {
		Cursor     string
		RetryAfter int64
	}
	if err := json.NewDecoder(answer.Body).Decode(&a); err != nil || a.RetryAfter == 0 || a.Cursor != cursor.String() {
		return fmt.Errorf("the poll is answered %s %+v after %v: %w", answer.Status, a, time.Since(began), err)
	}
	return nil
}
