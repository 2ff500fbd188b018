// Package wire is Zonecast's protocol: what travels between a server and its clients, whatever the
// transport.
//
//	client ──▶ DecodeClient ──▶ server   {"event":"subscribe","id":1,"data":{"warehouse":"w1"}}
//	client ◀── Append…      ◀── server   {"event":"ack","id":1,"data":{"room":"warehouse:w1",…}}
//
// It imports the standard library alone, keeps no state, and does no input or output. The load
// tester imports it, and testdata/golden.json holds it and the TypeScript client to the same bytes.
//
// # Rooms
//
// A room is "warehouse:{warehouse}" or "zone:{warehouse}:{zone}". Warehouse and zone are names: 1
// to 64 characters of A-Z a-z 0-9 '.' '_' '-'. See [Room].
//
// # Offsets
//
// Each message of a room has an offset "{epoch}-{n}". Within an epoch n counts 1, 2, 3 … without
// holes, so a client that sees n rise by more than one knows that it missed something. An epoch
// ends only when the room's history was lost; n starts at 1 again then. A room without messages
// stands at n = 0. See [Offset].
//
// Where a client stands in all of its rooms is a cursor, "{room}@{offset},{room}@{offset}". See
// [Cursor].
//
// # Frames
//
// A frame is one JSON object in a text frame. From the client:
//
//	{"event":…, "data":…, "id":…}
//
// With an id (an integer of 64 bits, chosen by the client) the server answers exactly once, with an
// ack or an error of that id:
//
//	{"event":"ack","id":7,"data":…}
//	{"event":"error","id":7,"data":{"code":"invalid_room","message":"…","retryAfter":1000}}
//
// Names are compared exactly. What the server does not know is ignored in a frame and refused in
// its data. The events a client may send:
//
//	subscribe     {"warehouse","zone"?,"offset"?}       ack {"room","offset","retained"?}: the current offset.
//	                                                    With "offset" the messages after it follow,
//	                                                    before anything newer
//	unsubscribe   {"warehouse","zone"?}                 ack {"room"}
//	publish       {"warehouse","zone"?,"event","data",  ack {"room","offset"}; needs permission
//	               "conflate"?,"idempotencyKey"?}
//	echo          anything                              ack with the same bytes
//	authenticate  {"token"}                             ack {"expires"}: ms since 1970, 0 for never
//
// What the server sends without being asked:
//
//	connected     first: {"connectionId","rooms":[{"room","offset"}],"heartbeat","serverTime",
//	              "node","limits"?,"broker"?,"protocol"?}
//	heartbeat     {"connections","time","broker"?}, every "heartbeat" ms, beside a WebSocket ping, and
//	              at once when the broker goes away ("broker":"unavailable") or comes back
//	gap           {"room","from","to"}: the messages after from, up to and including to, cannot be
//	              recovered. The next message of the room, if there is one, has the offset that
//	              follows to. To may be behind from in the same epoch, when from is ahead of the
//	              room: its latest messages were lost, and their offsets are given again
//	conflated     {"room","from","to"}: the messages after from, up to and including to, were each
//	              replaced by a newer one of the same conflate name, which follows, while they
//	              waited for this client. Nothing is missing
//	error         {"code","message","retryAfter"?}
//	drain         {"retryAfter"}: this instance is leaving; reconnect after that many ms
//	@screen       {"do","warehouse"?,"zone"?,"wall"?}: to a wall screen, what an operator wants of it
//
// and the published events, whose data is byte for byte what the publisher sent:
//
//	{"event":"ZONE_UPDATE","room":"zone:w1:a","offset":"k3f9-18","time":1767225600000,"data":{…}}
//
// A member that comes without an offset gets the latest message of each retained event first,
// marked "retained":true, with its first offset and time; it may be older than everything else and
// is no part of the counting.
//
// Names that the protocol uses itself can't be published ([IsReserved]). Times are milliseconds
// since 1970-01-01 UTC, durations are milliseconds. A client ignores unknown fields and events.
//
// # Transports
//
// Over WebSocket a frame is a text frame. Over Server-Sent Events it is the data of an event, whose
// id is the cursor of the connection after it. A long poll is answered with the frames that lead
// from one cursor to the next. Over these two a client sends each frame as the body of a POST,
// whose answer is the ack or the error.
//
// # Close codes
//
// Each way a connection ends has one [CloseCode]. Codes that tell the client to come back are those
// for which [CloseCode.Reconnect] is true.
package wire
