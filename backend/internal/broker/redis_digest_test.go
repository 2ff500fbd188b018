package broker_test

import (
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/stack"
)

// Instances of two versions share a Redis while one follows the other.
func TestAKeyOfAnOlderVersionMatchesAnything(t *testing.T) {
	s := startKind(t, stack.Single)
	p := newPair(t, s.RedisURL, broker.RedisOptions{})
	first, err := p.publisher.Publish(t.Context(), broker.Publication{Room: p.room, Event: "E"})
	if err != nil {
		t.Fatal(err)
	}
	key := "zonecast:{" + p.room.String() + "}:key:k"
	if _, err := s.Redis.Command(t.Context(), `SET `+key+` "`+first.Offset.Epoch+` 1"`); err != nil {
		t.Fatal(err)
	}
	got, err := p.publisher.Publish(t.Context(), broker.Publication{Room: p.room, Event: "F", IdempotencyKey: "k"})
	if want := (broker.Receipt{Offset: first.Offset, Duplicate: true}); err != nil || got != want {
		t.Errorf("got %+v %v, want %+v", got, err, want)
	}
}
