// Package publish is the client for services that publish events to warehouses and zones through
// Zonecast's HTTP API.
//
//	service ──▶ Client ──▶ validate, marshal once ──▶ POST ──▶ 200 {"room","offset"} ──▶ Result
//	                             ▲                     │
//	                             └── wait, same key ◀──┘ network error, 429, 502, 503, 504
//
// One call publishes one event:
//
//	client, err := publish.New("https://zonecast.example", publish.WithAPIKey(key))
//	…
//	err = client.BroadcastToZone("warehouse-1", "zone-a", "ZONE_UPDATE", update)
//
// [Client.Publish] is the same with a context, retained messages and the offset that the event got;
// [Client.PublishBatch] sends many events in one request.
//
// # What a nil error means
//
// The server has given the event its place in the room. Everybody who is in the room receives it,
// and whoever comes back within the history window does too. Any other answer, a 200 from something
// that is not Zonecast among them, is an error.
//
// # Retries
//
// Each message carries an Idempotency-Key, made once from crypto/rand, so that the server can tell
// a second attempt from a second event: trying again never publishes twice. The client tries again
// after network errors, 429, 502, 503 and 504; it waits as long as Retry-After asks and then a
// random time below a bound that doubles with each attempt. [Retry] bounds attempts and time, the
// context bounds them further. All other answers are final and come back as an *[Error].
//
// An error after retries does not say that the event was not published: the answer may have been
// lost on the way. Publish it again with the same Message.IdempotencyKey, and it appears once.
//
// # Order
//
// Events that one goroutine publishes one after the other to a room get rising offsets. Calls at
// the same time have no order between them.
package publish
