// Package report is a run's outcome: a value, text for a person, JSON for a program.
//
//	scenario  ──▶ Result            what was measured
//	settings  ──▶ ParseThreshold    what it must reach
//	main      ──▶ Evaluate          whether it is good enough
//	main      ──▶ Result.WriteText, Result.WriteJSON
package report

import (
	"encoding/json"
	"io"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/latency"
)

// Schema is the version of the JSON form. It rises when a field changes its meaning or goes away.
const Schema = 1

// A Result is all that is known about a run when it is over. JSON has durations in milliseconds.
type Result struct {
	Schema     int       `json:"schema"`
	Settings   Settings  `json:"settings"`
	StartedAt  time.Time `json:"startedAt"` // when the first message was due; zero if it never came to that
	DurationMs float64   `json:"durationMs"`
	Stopped    string    `json:"stopped,omitempty"` // why the run ended before its time; empty when it did not

	Connections    Connections `json:"connections"`
	Messages       Messages    `json:"messages"`
	Violations     Violations  `json:"violations"`
	Throughput     Throughput  `json:"throughput"`
	SuccessPercent float64     `json:"successPercent"` // Received of Expected

	// Latency, Completion and Lag are from when a message was due to when a member had it, to when
	// the last of its members had it, and to when it was sent: the load tester's part of Latency.
	// Replay is from the first attempt to reconnect until the member has what it missed by then.
	Latency    Times `json:"latencyMs"`
	Live       Times `json:"liveMs"` // Latency without the messages that a member missed and got by replay
	Completion Times `json:"completionMs"`
	Connect    Times `json:"connectMs"` // from the beginning of a connection to the frame connected
	Offline    Times `json:"offlineMs"` // from the end of a connection until its replacement has joined
	Replay     Times `json:"replayMs"`
	Publish    Times `json:"publishMs"` // the time of a request to the publish API; nothing with scenario echo
	Lag        Times `json:"lagMs"`

	Errors    uint64          `json:"errors"`
	ErrorsBy  []failure.Count `json:"errorsByKind"`
	Generator Generator       `json:"generator"`
	Invalid   string          `json:"invalid,omitempty"` // why the figures are not the server's; empty when they are

	// Slow is what the slow members received; the figures above are of the others.
	Slow *Slow `json:"slow,omitempty"`
	// Churn counts the members that left on purpose; their deliveries are among Messages.
	Churn      int        `json:"churned,omitempty"`
	Servers    []Server   `json:"servers"`
	Cost       Cost       `json:"serverCost"`
	Rooms      []Room     `json:"rooms"` // at most MaxRooms, as are Warehouses
	Warehouses []Room     `json:"warehouses"`
	Ramp       []RampStep `json:"ramp,omitempty"` // the steps of scenario ramp
	Seconds    []Second   `json:"seconds"`        // from the first connection on

	// Verdict is passed, failed, missed (nothing but thresholds) or invalid: what the exit code
	// says.
	Verdict    string    `json:"verdict,omitempty"`
	Thresholds []Outcome `json:"thresholds"`
	// Failures says in sentences what makes this a failed run, missed thresholds apart.
	Failures []string `json:"failures"`
}

// Settings are those of the run, without its secrets.
type Settings struct {
	Name         string   `json:"name,omitempty"`
	Scenario     string   `json:"scenario"`
	Protocol     string   `json:"protocol"`
	Transport    string   `json:"transport"`
	WSURLs       []string `json:"wsUrls"`
	PublishURLs  []string `json:"publishUrls"`
	Room         string   `json:"room"` // the first one
	Rooms        int      `json:"rooms"`
	Zipf         float64  `json:"zipf,omitempty"`
	Workers      int      `json:"workers"`
	Connections  int      `json:"connections"`
	MsgPerSec    float64  `json:"msgPerSec"`
	DurationMs   float64  `json:"durationMs"`
	PayloadBytes int      `json:"payloadBytes"`
	Publishers   int      `json:"publishers"`
	ConnectRate  float64  `json:"connectRate"`
	SettleMs     float64  `json:"settleMs"`
	ReconnectMs  float64  `json:"reconnectMs"`
}

// Connections counts the members.
type Connections struct {
	Asked  int `json:"asked"`
	Joined int `json:"joined"` // received "connected" for the room
	Lost   int `json:"lost"`   // of those: not connected at the end
	// Connections that ended before the run did, that replaced those, and that ended on purpose.
	Broken  int `json:"broken"`
	Resumed int `json:"resumed"`
	Dropped int `json:"dropped,omitempty"`
}

// Messages counts what was sent and what arrived. Scheduled is Sent + Failed + NotSent.
type Messages struct {
	Scheduled uint64 `json:"scheduled"` // due before the end
	Sent      uint64 `json:"sent"`      // and accepted by the server
	Failed    uint64 `json:"failed"`    // refused, or unanswered
	NotSent   uint64 `json:"notSent"`   // the load tester found no free worker in time
	Late      uint64 `json:"late"`      // sent more than 10 ms after they were due; among Sent and Failed

	Expected   uint64 `json:"expected"`   // each message sent, once for each member that must have it
	Received   uint64 `json:"received"`   // of those
	Lost       uint64 `json:"lost"`       // of those
	Duplicated uint64 `json:"duplicated"` // arrived again
	Reordered  uint64 `json:"reordered"`  // arrived after one with a higher offset

	Unconfirmed uint64 `json:"unconfirmed"` // arrived although publishing it failed
	Foreign     uint64 `json:"foreign"`     // arrived in the room, but not from this run
}

// Interrupted is what Stopped says of a run that a person ended.
const Interrupted = "interrupted"

// Violations counts broken promises other than losses, duplicates and reorderings of messages.
type Violations struct {
	Holes      uint64 `json:"holes"`      // offsets that were skipped without a word
	Reused     uint64 `json:"reused"`     // offsets given to two different messages
	Restarted  uint64 `json:"restarted"`  // changes of the room's epoch
	Damaged    uint64 `json:"damaged"`    // data that is not byte for byte what was sent
	Misrouted  uint64 `json:"misrouted"`  // messages of the run in another room
	Unreadable uint64 `json:"unreadable"` // frames that are not the protocol
	Gaps       uint64 `json:"gaps"`       // frames gap: the server itself said that it lost messages
}

// besideHoles returns the sum of all but the holes, which a lost message leaves behind as well.
func (v Violations) besideHoles() uint64 {
	return v.Reused + v.Restarted + v.Damaged + v.Misrouted + v.Unreadable + v.Gaps
}

// Throughput is per second of the run's duration.
type Throughput struct {
	Sent     float64 `json:"sentPerSec"`
	Received float64 `json:"receivedPerSec"`
}

// Times sums up durations, in milliseconds.
type Times struct {
	Count uint64  `json:"count"`
	Min   float64 `json:"min"`
	Avg   float64 `json:"avg"`
	Max   float64 `json:"max"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	P99_9 float64 `json:"p99_9"`
}

// TimesOf returns a summary in milliseconds.
func TimesOf(s latency.Summary) Times {
	return Times{
		Count: s.Count, Min: Millis(s.Min), Avg: Millis(s.Avg), Max: Millis(s.Max),
		P50: Millis(s.P50), P95: Millis(s.P95), P99: Millis(s.P99), P99_9: Millis(s.P99_9),
	}
}

// Millis returns a duration in milliseconds, to the microsecond.
func Millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Generator is what all processes of the load tester used; zero where the system does not tell.
type Generator struct {
	CPUSeconds      float64 `json:"cpuSeconds"`
	CPUPercent      float64 `json:"cpuPercent"`     // of one core, during the run
	BusiestPercent  float64 `json:"busiestPercent"` // of one core: the busiest process in its busiest second
	PeakMemoryBytes uint64  `json:"peakMemoryBytes"`
	Machine         string  `json:"machine,omitempty"`
	IdlePercent     float64 `json:"idlePercent"` // of the machine, during the run
}

// Slow is what slow members received.
type Slow struct {
	Members  int    `json:"members"`
	Closed   int    `json:"closed"` // of their connections, by the server
	Expected uint64 `json:"expected"`
	Received uint64 `json:"received"`
	Latency  Times  `json:"latencyMs"`
}

// A Server is one instance: what its process had and used.
type Server struct {
	Name string `json:"name"`
	// MemoryBefore is its resident memory in bytes before the first connection, MemoryIdle with all
	// of them and before the first message, MemoryPeak the most that was seen.
	MemoryBefore uint64  `json:"memoryBeforeBytes"`
	MemoryIdle   uint64  `json:"memoryIdleBytes"`
	MemoryPeak   uint64  `json:"memoryPeakBytes"`
	OpenedBefore uint64  `json:"openedBefore,omitempty"` // connections that it had in its life before those of the run; 0 when it does not tell
	CPUSeconds   float64 `json:"cpuSeconds"`             // while messages were sent
}

// Cost is what the servers used; nil (null) where that can't be told.
type Cost struct {
	KiBPerConnection  *float64 `json:"kibPerConnection"` // idle, before the first message
	KiBUnknown        string   `json:"kibUnknown,omitempty"`
	MicrosPerDelivery *float64 `json:"cpuMicrosPerDelivery"`
}

// MaxRooms is how many rooms a result tells apart.
const MaxRooms = 1000

// A Room is what its members received; of a warehouse, all its rooms' members.
type Room struct {
	Name       string  `json:"name"`
	Members    int     `json:"members"`
	Expected   uint64  `json:"expected"`
	Received   uint64  `json:"received"`
	Duplicated uint64  `json:"duplicated"`
	Reordered  uint64  `json:"reordered"`
	Latency    Times   `json:"latencyMs"`
	Completion float64 `json:"completionP99Ms,omitempty"` // to the last receiver
}

// A RampStep is one step of scenario ramp.
type RampStep struct {
	MsgPerSec  float64   `json:"msgPerSec"`
	Deliveries float64   `json:"deliveriesPerSec"`
	Delivered  float64   `json:"deliveredPercent"`
	Latency    Times     `json:"latencyMs"`
	Thresholds []Outcome `json:"thresholds"`
	Held       bool      `json:"held"`
}

// A Second is one second of the run.
type Second struct {
	At        float64 `json:"at"` // its end, in seconds from the first connection
	Phase     string  `json:"phase"`
	Connected int     `json:"connected"`
	Sent      uint64  `json:"sent"` // in this second, as are the following
	Received  uint64  `json:"received"`
	Errors    uint64  `json:"errors"`
	P50       float64 `json:"p50Ms"`
	P99       float64 `json:"p99Ms"`
	Max       float64 `json:"maxMs"`
	LagP99    float64 `json:"lagP99Ms"`
	CPU       float64 `json:"cpuPercent"` // of the load tester, of one core
}

// An Outcome is one threshold and what was measured against it.
type Outcome struct {
	Threshold string `json:"threshold"`
	Measured  string `json:"measured"`
	Met       bool   `json:"met"`
}

// WriteJSON writes the result, indented.
func (r *Result) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}
