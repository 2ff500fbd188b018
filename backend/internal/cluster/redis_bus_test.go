package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// Whoever writes in Redis but has not the key tells instances nothing: neither a question (which
// may end connections) of his own nor one that was asked before, nor an overloaded room, nor an
// instance that there is not.
func TestWhoHasRedisButNoKeyIsNotBelieved(t *testing.T) {
	server := startRedis(t)
	refused := make(chan string, 1000)
	secured := func(o *cluster.Options) {
		o.Signer = bus.New([]string{"a-secret-of-these-tests-with-32-bytes"})
		o.OnRefuse = func(kind bus.Kind, reason bus.Refusal) {
			select {
			case refused <- fmt.Sprintf("%s %s", kind, string(reason)):
			default:
			}
		}
	}
	a, b := joinAs(t, server.URL, "a", secured), joinAs(t, server.URL, "b", secured)
	for _, m := range []*member{a, b} {
		awaitView(t, "both are seen", m, func(v cluster.View) bool { return names(v) == "a b" && v.Incomplete == "" })
	}
	options, err := redis.ParseURL(server.URL)
	testkit.Must(t, err)
	stranger := redis.NewClient(options)
	defer stranger.Close()
	heard := stranger.PSubscribe(t.Context(), "*questions")
	defer heard.Close()
	_, err = heard.Receive(t.Context())
	testkit.Must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if got := a.Ask(ctx, cluster.Question{Kind: "echo", Data: []byte("1")}); !got.Complete() || len(got.All) != 2 {
		t.Fatalf("instances with a key don't hear one another: %+v", got)
	}
	genuine, err := heard.ReceiveMessage(t.Context())
	testkit.Must(t, err)
	want := func(what string) {
		t.Helper()
		testkit.Succeeds(t, what+" is counted", func() error {
			select {
			case got := <-refused:
				if got == what {
					return nil
				}
				return fmt.Errorf("%s is counted", got)
			default:
				return fmt.Errorf("nothing is counted")
			}
		})
	}
	answered := b.answered.Load()
	testkit.Must(t, stranger.Publish(ctx, genuine.Channel, genuine.Payload).Err())
	want("question replayed")
	testkit.Must(t, stranger.Publish(ctx, genuine.Channel, `{"id":"ABC","from":"DEF","kind":"echo","data":1}`).Err())
	want("question unsigned")
	testkit.Must(t, stranger.Publish(ctx, genuine.Channel, strings.Replace(genuine.Payload, "echo", "ohce", 1)).Err())
	want("question forged")
	if n := b.answered.Load(); n != answered {
		t.Errorf("%d forged questions were answered", n-answered)
	}

	room := wire.Room{Warehouse: "w", Zone: "a"}
	testkit.Must(t, stranger.Publish(ctx, strings.Replace(genuine.Channel, "questions", "pressed", 1), "ABC "+room.String()).Err())
	want("overload unsigned")
	if !b.OverloadedUntil(room).IsZero() {
		t.Error("b believes that a room is overloaded")
	}
	testkit.Must(t, stranger.HSet(ctx, strings.Replace(genuine.Channel, "questions", "nodes", 1), "ABC ghost",
		fmt.Sprintf(`%d {"id":"ABC","name":"ghost","state":"ready","connections":7}`, time.Now().UnixMilli())).Err())
	want("announcement unsigned")
	if got := names(b.View()); got != "a b" {
		t.Errorf("b sees %s", got)
	}
}
