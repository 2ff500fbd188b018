package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/publish"
	"github.com/zonecast/zonecast/backend/subscribe"
)

// A Go subscriber behind a proxy loses nothing, has nothing twice and nothing out of order while
// the instances that hold its connection are killed, restarted and drained, its own process is
// replaced, and its loop is slow; and is told what a Redis that lost everything has lost.
func TestPromiseTheGoSubscriberResumes(t *testing.T) {
	s := stacktest.Start(t, stack.Options{Root: repository, Binary: binary(), Instances: 3, Redis: true, Nginx: true,
		Settings: map[string]string{"CLUSTER_SECRET": "a-cluster-secret-of-these-tests-32-bytes"}})
	publisher, err := publish.New(s.Nginx.URL)
	testkit.Must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	open := func(cursor string) *subscribe.Subscription {
		t.Helper()
		sub, err := subscribe.New(s.Nginx.URL, []string{"zone:w:a", "warehouse:w"}, subscribe.WithCursor(cursor),
			subscribe.WithBackoff(50*time.Millisecond, time.Second), subscribe.WithHTTPClient(&http.Client{Transport: &http.Transport{}}))
		testkit.Must(t, err)
		return sub
	}
	next := 0 // the number of the message that comes next
	// take takes messages in order, up to and including the number last.
	take := func(sub *subscribe.Subscription, last int, each func(n int)) {
		t.Helper()
		for e, err := range sub.Events(ctx) {
			testkit.Must(t, err)
			var data struct{ N int }
			testkit.Must(t, json.Unmarshal(e.Data, &data))
			if e.Kind != subscribe.Message || data.N != next {
				t.Fatalf("got kind %d, message %d, want message %d", e.Kind, data.N, next)
			}
			if data.N == last+1 { // it stands before this one
				return
			}
			each(next)
			next++
		}
	}
	sub := open("")
	const faults, each = 3, 60
	publishing := make(chan error, 1)
	joined := make(chan struct{})
	go func() {
		<-joined
		for n := 1; n <= faults*each+1; n++ {
			if _, err := publisher.Publish(ctx, publish.Message{Warehouse: "w", Zone: "a", Event: "E", Data: map[string]int{"n": n}}); err != nil {
				publishing <- err
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		publishing <- nil
	}()
	// The first one is retained, so that it is known when the loop is in its room.
	_, err = publisher.Publish(ctx, publish.Message{Warehouse: "w", Zone: "a", Event: "E", Retain: true, Data: map[string]int{"n": 0}})
	testkit.Must(t, err)
	at := 0
	take(sub, faults*each, func(n int) {
		if n == 0 {
			close(joined)
		}
		if n%each != each/2 {
			return
		}
		instance := s.Instances[at%len(s.Instances)]
		at++
		switch n / each {
		case 0:
			testkit.Must(t, instance.Kill())
			testkit.Must(t, instance.Start(ctx))
		case 1:
			go func() { _ = instance.Restart(ctx) }()
		default:
			time.Sleep(2 * time.Second) // a slow loop
		}
	})
	testkit.Must(t, <-publishing)

	// Another process goes on where this one stood.
	successor := open(sub.Cursor())
	_, err = publisher.Publish(ctx, publish.Message{Warehouse: "w", Zone: "a", Event: "E", Data: map[string]int{"n": faults*each + 2}})
	testkit.Must(t, err)
	take(successor, faults*each+1, func(int) {})

	_, err = s.Redis.Command(ctx, "FLUSHALL")
	testkit.Must(t, err)
	for e, err := range successor.Events(ctx) {
		testkit.Must(t, err)
		if e.Kind == subscribe.Gap && e.Room.Zone == "a" {
			break
		}
	}
}
