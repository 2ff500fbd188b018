// Package subscribe is the client for services and robots that receive the events of warehouses and
// zones from Zonecast.
//
//	server ──▶ GET /sse ──▶ stream ──▶ Subscription ──▶ for event, err := range sub.Events(ctx)
//	  ▲                                   │  in order, each once, or a Gap that says what is missing
//	  └── the offsets of all rooms ◀──────┘  wait, after a connection that broke
//
// One loop receives everything:
//
//	sub, err := subscribe.New("https://zonecast.example", []string{"zone:warehouse-1:zone-a"}, subscribe.WithToken(token))
//	…
//	for event, err := range sub.Events(ctx) {
//		if err != nil {
//			return err // the server refuses this subscription, or ctx has ended
//		}
//		…
//	}
//
// # What the loop gets
//
// Within a room events come in the order of their offsets, each once, however often the connection
// breaks in between: the client comes back by itself and resumes where the loop stands. What is
// lost for good is an event of the kind [Gap], never a silence.
//
// # Slow loops
//
// The client reads when the loop asks for the next event, and keeps nothing else: a slow loop slows
// its own connection. A loop that falls behind by more than the server keeps for a connection (1
// MiB by default) is disconnected and resumes from the room's history; behind more than that it
// gets a Gap.
//
// # Where it goes on
//
// [Subscription.Cursor] is where the loop stands: everything before it has been handled. A process
// that stores it and passes it to [WithCursor] goes on there after a restart.
package subscribe
