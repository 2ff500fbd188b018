package wire

import "time"

// Defaults that the server's configuration can change: internal/config holds its own to these.
const (
	// InboundFrameBytes is the size limit of what a client sends as one: of a WebSocket message,
	// all its fragments together. A larger one closes the connection with 1009.
	InboundFrameBytes = 64 << 10
	// QueuedBytes bounds the write queue of one client. More closes the connection with 4408.
	QueuedBytes = 1 << 20
	// SlowAfter is the age of the oldest queued message at which a client counts as slow.
	SlowAfter = time.Second
	// PublishWait bounds how long a publisher waits for members of its room that are behind.
	PublishWait = 2 * time.Second
	// RateLimitTokens is the burst of frames of one client, RateLimitRefill its rate per second.
	RateLimitTokens = 100
	RateLimitRefill = 10
	// HeartbeatInterval is the time between two heartbeats.
	HeartbeatInterval = 30 * time.Second
	// PongTimeout is how long the answer to a heartbeat's ping may take.
	PongTimeout = 10 * time.Second
	// HistoryMessages and HistoryAge bound the history of each room.
	HistoryMessages = 1000
	HistoryAge      = 10 * time.Minute
)

// Fixed limits of the protocol.
const (
	// A client over its rate limit is closed with 4429 after so many refusals, of which
	// RefusalsForgiven are forgotten each second.
	RefusalsBeforeClose = 100
	RefusalsForgiven    = 10
	// FragmentsPerMessage bounds the frames of one fragmented message, MessageTime its duration.
	FragmentsPerMessage = 256
	MessageTime         = 30 * time.Second
	// RoomsPerConnection is the most rooms that one connection may be in.
	RoomsPerConnection = 128
	// BadFramesInARow is how many malformed frames a client may send in a row; one more closes the
	// connection with 4400.
	BadFramesInARow = 10
	// BatchMessages is the most messages of one batch over HTTP.
	BatchMessages = 1000
	// IdempotencyWindow is how long an Idempotency-Key is remembered.
	IdempotencyWindow = 5 * time.Minute
	// MaxIdempotencyKeyLen is the most bytes of an Idempotency-Key.
	MaxIdempotencyKeyLen = 255
	// ReconnectBackoffCap is the longest a client waits between two attempts.
	ReconnectBackoffCap = 30 * time.Second
)
