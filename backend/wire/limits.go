package wire

import "time"

// The protocol's limits. Each is a default that the server's configuration can change.
const (
	// InboundFrameBytes is the most bytes of one frame from a client. A larger one closes the connection with 1009.
	InboundFrameBytes = 64 << 10
	// QueuedBytes is the most bytes that wait for one client. More closes the connection with 4408.
	QueuedBytes = 1 << 20
	// SlowAfter is how long the oldest message may wait for a client before it counts as slow.
	SlowAfter = time.Second
	// PublishWait is how long a publisher waits at most when the members of its room are behind.
	PublishWait = 2 * time.Second
	// RateLimitTokens is how many frames a client may send at once, RateLimitRefill how many more each second. One that goes
	// on regardless is closed with 4429 after so many Refusals, of which RefusalsForgiven are forgotten each second.
	RateLimitTokens  = 100
	RateLimitRefill  = 10
	Refusals         = 100
	RefusalsForgiven = 10
	// HeartbeatInterval is the time between two heartbeats.
	HeartbeatInterval = 30 * time.Second
	// PongTimeout is how long the answer to a heartbeat's ping may take.
	PongTimeout = 10 * time.Second
	// FragmentsPerMessage is the most frames that one message of a client may come in, and MessageTime how long it may take.
	FragmentsPerMessage = 256
	MessageTime         = 30 * time.Second
	// RoomsPerConnection is the most rooms that one connection may be in.
	RoomsPerConnection = 128
	// BadFramesInARow is how many frames that are not the protocol a client may send in a row; one more closes the
	// connection with 4400.
	BadFramesInARow = 10
	// BatchMessages is the most messages of one batch over HTTP.
	BatchMessages = 1000
	// HistoryMessages and HistoryAge bound what is kept of each room to resume from.
	HistoryMessages = 1000
	HistoryAge      = 10 * time.Minute
	// IdempotencyWindow is how long a publisher's Idempotency-Key is remembered.
	IdempotencyWindow = 5 * time.Minute
	// MaxIdempotencyKeyLen is the most bytes of an Idempotency-Key.
	MaxIdempotencyKeyLen = 255
	// ReconnectBackoffCap is the longest a client waits between two attempts.
	ReconnectBackoffCap = 30 * time.Second
)
