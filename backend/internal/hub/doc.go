// Package hub knows who is in which room on this instance.
//
//	transport ── Open, Join, Leave, Close ──▶ Hub ── Subscribe, History ──▶ broker
//	broker ── Message, Gap ──▶ Hub ── Fanout ──▶ outbox of each member
//
// A room is subscribed to at the broker while it has local members, and for 10 s after the last
// one. A broadcast costs what its room's members cost. The lock of a room orders everything that
// its members see: joining happens between two messages, never in the middle of one, and no room
// waits for another.
package hub
