//go:build linux

// Package worker carries out one process's part of a run: its members, and publishing if it does.
//
//	coordinator ──▶ Open(job) ▸ Connect ▸ Send(step) ▸ Settle(accepted) ──▶ Partial
//	            ◀── Tick              each second meanwhile, with counts alone in between
//	    send.go                 what is due is sent, and waited for
//	    member.go ──▶ delivery  what each member received, message by message
//	    reconnect.go            members that reconnect and resume from their last offset
//	    behaviour.go            members that disconnect, go offline, leave or read slowly
//	    publish_*.go            messages over HTTP, or as frames of clients
//	    echo*.go                round trips, by POST where members' connections go one way
//	    httpconn.go             requests, one after the other on each connection
//	    history.go              all of it written down, for zonecast check-history
//
// What counts: messages that are sent once all members have joined (or given up), that is all of
// them, and that the server accepted. Each member that joined must have all of them, whatever
// happened to its connection; those that arrive late because it was away are late by that much. All
// of it runs in one goroutine over package client.
package worker

import (
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
)

// A Job is what a worker has to do. It can be sent to another process.
type Job struct {
	Run      string // the name in the stamps
	Protocol string
	Mode     client.Mode
	ByFrame  bool // Zonecast's members join by a frame
	Deflate  bool
	Targets  []Address
	Token    string
	CA       []byte // PEM of the authorities for TLS; none for the system's
	Header   string // as client.Options has it
	Sources  []netip.Addr

	// Rooms are the run's; members and messages are spread over them, by Zipf's exponent.
	Rooms          []string
	Exponent       float64
	First, Members int     // the members First, First+1 … of the run
	ConnectRate    float64 // per second; 0 for as fast as it goes
	PayloadBytes   int
	Reconnect      time.Duration // how long a member tries to reconnect

	// EchoPosts is how many echoes of a member may be under way by POST; below 2 for one.
	EchoPosts int
	Grace     time.Duration // how long after the end of a step messages that are due still go out

	Publish   Publish
	Behaviour Behaviour
	MaxErrors uint64
	// ClockAhead is how many nanoseconds this clock is ahead of the one that stamps messages.
	ClockAhead int64
	Tracked    int // how many messages at most are followed to their last receiver

	// History, unless nil, is what all that members and publishers see is written to. It is for a
	// worker in this process alone.
	History io.Writer `json:"-"`
}

// An Address is a target, its host's name resolved.
type Address struct {
	URL   string // as people see it, without what may be secret
	Addr  netip.AddrPort
	Host  string
	Path  string
	Query string // without the question mark
	TLS   string
}

// NewAddress returns the address of a URL whose host is at addr.
func NewAddress(u *url.URL, addr netip.AddrPort) Address {
	a := Address{Addr: addr, Host: u.Host, Path: u.EscapedPath(), Query: u.RawQuery}
	if u.Scheme == "wss" || u.Scheme == "https" {
		a.TLS = u.Hostname()
	}
	bare := *u
	bare.RawQuery = ""
	a.URL = bare.String()
	return a
}

// Port returns the port of a URL.
func Port(u *url.URL) uint16 {
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		return uint16(n)
	}
	if u.Scheme == "wss" || u.Scheme == "https" {
		return 443
	}
	return 80
}

// Target returns where connections with a token go.
func (a *Address) Target(token string) *client.Target {
	path := a.Path
	if path == "" {
		path = "/"
	}
	return &client.Target{Addr: a.Addr, Host: a.Host, Path: path, Query: a.Query, TLS: a.TLS, Token: token}
}

// Publish says who publishes, if anybody does.
type Publish struct {
	Publishers int // 0: nobody
	// ByClients publishes by frames of clients, each on a connection of its own; by POST to the
	// targets where these connections go one way. Otherwise through the HTTP API of Bases.
	ByClients bool
	Bases     []Address
	Key       string
	// Batch is how many waiting messages may go out in one request to the API; below 2 for one.
	Batch   int
	Writers int // how many streams each room has; one publisher writes each
}

// A Kind of behaviour has the name of its scenario; members of any other scenario are steady.
type Kind string

const (
	Storm Kind = "storm" // a share loses its connections at once
	Flaky Kind = "flaky" // each one is offline again and again
	Churn Kind = "churn" // members leave and are replaced
	Slow  Kind = "slow"  // a share reads slowly
)

const (
	ByClose   = "close"   // as the protocol says
	ByReset   = "reset"   // TCP's RST
	BySilence = "silence" // the old connection stays, and nobody reads it
)

// Behaviour is what members do beside receiving.
type Behaviour struct {
	Kind  Kind
	Share float64 // of the members, for Storm and Slow, as schedule.Bound gives it
	By    string  // of Storm

	At             time.Duration // when a storm breaks, after the start of the sending
	Every, Offline time.Duration // the rhythm of Flaky
	Rate           float64       // of Churn, members per second
	BytesPerSec    int           // of Slow
}

// A Step is what is sent in one stretch.
type Step struct {
	Start    uint64 // on the clock of package client
	Duration time.Duration
	Rate     float64 // messages published per second; 0 for none
	Echo     float64 // round trips per second; 0 for none
	// Window, if above 0, publishes as answers come, with so many of each publisher unanswered.
	Window int
}

func (j *Job) codec() (protocol.Codec, error) {
	if j.Protocol == protocol.NameZonecast {
		return protocol.Zonecast{ByFrame: j.ByFrame}, nil
	}
	if j.Mode != client.WebSocket {
		return nil, fmt.Errorf("%s is spoken over WebSocket only", j.Protocol)
	}
	return protocol.New(j.Protocol, j.PayloadBytes, j.Token)
}
