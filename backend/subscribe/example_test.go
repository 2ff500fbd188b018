//go:build go1.26

package subscribe_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/zonecast/zonecast/backend/subscribe"
	"github.com/zonecast/zonecast/backend/wire"
)

// A robot follows its zone, and goes on after a restart where it stood.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cursor, _ := os.ReadFile("cursor") // there is none the first time
	sub, err := subscribe.New("https://zonecast.example", []string{"zone:warehouse-1:zone-a"},
		subscribe.WithToken(os.Getenv("ZONECAST_TOKEN")), subscribe.WithCursor(string(cursor)))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.WriteFile("cursor", []byte(sub.Cursor()), 0o600) }()
	for event, err := range sub.Events(ctx) {
		var refused *subscribe.Error
		switch {
		case errors.As(err, &refused) && refused.Code == wire.CodeForbidden:
			log.Fatalf("the token does not permit this zone: %v", err)
		case err != nil:
			return // interrupted
		case event.Kind == subscribe.Gap:
			fmt.Println("fetch fresh state: messages are missing after", event.From)
		default:
			fmt.Println(event.Name, string(event.Data))
		}
	}
}
