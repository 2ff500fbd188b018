// Package audit records who changed what, from where and why, and who failed to get in.
//
//	access, api, cmd ── Record, Service, LoggedIn, Failure ──▶ Log ──▶ AUDIT_LOG (append-only lines of JSON)
//	                                                            ├────▶ the process's log, the metric
//	                                                            └────▶ Store (memory, or Redis for all instances)
//	api, dashboard ◀── Read ────────────────────────────────────────────┘
//
// Nothing is changed that can't be recorded: while the file takes nothing, Ready refuses. What was
// under way when it stopped taking is kept, and written as soon as it takes something again. The
// store is for looking at: it is bounded, and while it is away a bounded number of entries waits
// for it. What strangers and services cause is counted beyond a rate, rather than written one by
// one, and has a list of its own in the store, so that it displaces nothing that operators did.
package audit

import (
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zonecast/zonecast/backend/internal/bus"
)

// The actions. Those of routes that name none are the route's method and path.
const (
	Disconnect     = "disconnect"
	Ban            = "ban"
	Revoke         = "revoke"
	Lift           = "lift" // a revocation
	DeleteRoom     = "delete_room"
	DeleteRetained = "delete_retained"
	Rebalance      = "rebalance"
	Acknowledge    = "acknowledge" // an alert
	ClearAlert     = "clear_alert"
	Screen         = "screen"    // what is wanted of a wall screen
	Pair           = "pair"      // a wall screen, which gets a token
	Dismiss        = "dismiss"   // an instance that is gone
	Drain          = "drain"     // an instance
	EndDrain       = "end_drain" // put it back into service
	SendTest       = "test"      // to the clients of a room
	Reload         = "reload"    // of a file that settings name
	Login          = "login"     // of an operator
	Logout         = "logout"
	PublishKey     = "publish_key" // of a service
)

// The results.
const (
	Done    = "done"
	Refused = "refused" // what was asked can't be, or not by this caller
	Failed  = "failed"  // the server could not do it
)

// An Entry is one line. It never holds a password, token or key. Texts are cut at [maxText] bytes.
type Entry struct {
	// ID is the place in the list that [Log.Read] returns; the file has none.
	ID   string    `json:"id,omitempty"`
	Time time.Time `json:"time"` // of the instance's clock
	// Who is the operator or the publish key; empty where nobody had to say it.
	Who    string `json:"who"`
	Action string `json:"action"`
	Target string `json:"target,omitempty"` // what it was done to
	Reason string `json:"reason,omitempty"` // as the operator gave it
	Result string `json:"result"`
	Detail string `json:"detail,omitempty"` // why it was refused, or how far it came
	// Count is how many there were, in an entry that stands for several.
	Count   int    `json:"count,omitempty"`
	Address string `json:"address,omitempty"`
	Node    string `json:"node"`
	// RequestID is that of the request, as its answer and the log have it.
	RequestID string `json:"requestId,omitempty"`
}

// Options of a [Log].
type Options struct {
	Node string
	File string // empty for none
	Log  *slog.Logger
	// OnEntry is told each entry's action and result; OnFailure which sink did not take one: "file"
	// or "store". OnRefuse is told why an entry of the store was not believed. Each may be nil.
	OnEntry   func(action, result string)
	OnFailure func(sink string)
	OnRefuse  func(bus.Kind, bus.Refusal)
}

const (
	// maxText is the most bytes of each text of an entry.
	maxText = 512
	// loginInterval is how long an operator who goes on from the same address is not noted again.
	loginInterval = time.Hour
	maxLogins     = 1000
	// So many entries of one caller, action and result are written in a minute.
	eachFailure, eachService, eachOperator = 1, 60, 120
)

// A Log is safe for concurrent use. One that is nil records nothing.
type Log struct {
	// Static after Open.
	opts     Options
	file     *file                        // nil for none
	store    Store                        // set by Use
	signer   *bus.Signer                  // set by Use
	logins   *lru.Cache[login, time.Time] // when they were recorded
	failures tally                        // of strangers
	services tally                        // what they changed
	changes  tally                        // what operators changed, or were refused

	unshared chan struct{} // holds a token while waiting is not empty

	sharing sync.Mutex // held by the one who writes to the store, and before mu

	mu      sync.Mutex
	waiting []item // for the store, in their order
}

type login struct{ who, address string }

// An item is what waits for the store.
type item struct {
	list  List
	value string // JSON
}

// Open returns a log, whose Use and Run have to follow. The error says why the file can't be
// written.
func Open(o Options) (*Log, error) {
	if o.OnEntry == nil {
		o.OnEntry = func(string, string) {}
	}
	if o.OnFailure == nil {
		o.OnFailure = func(string) {}
	}
	if o.OnRefuse == nil {
		o.OnRefuse = func(bus.Kind, bus.Refusal) {}
	}
	l := &Log{opts: o, unshared: make(chan struct{}, 1), failures: tally{each: eachFailure, callers: maxStrangers},
		services: tally{each: eachService, callers: maxStrangers}, changes: tally{each: eachOperator, callers: maxOperators}}
	l.logins, _ = lru.New[login, time.Time](maxLogins) // of a size that is one
	if o.File != "" {
		l.file = &file{name: o.File}
		if err := l.file.flush(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Use sets the store, and what signs the entries in it; nil for nothing.
func (l *Log) Use(store Store, signer *bus.Signer) { l.store, l.signer = store, signer }

// Record writes an entry. It sets the time, if there is none, and the node. Of an operator who does
// the same again and again the first ones of a minute are written, and how many more there were: an
// operator can neither fill a disk nor displace what others did.
func (l *Log) Record(e Entry) {
	if l != nil && l.changes.add(caller{action: e.Action, who: e.Who, address: e.Address, result: e.Result}) {
		l.record(e, Operators)
	}
}

func (l *Log) record(e Entry, list List) {
	if l == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.ID, e.Time, e.Node = "", e.Time.UTC().Truncate(time.Millisecond), l.opts.Node
	for _, text := range []*string{&e.Who, &e.Action, &e.Target, &e.Reason, &e.Detail, &e.Address} {
		*text = cut(*text)
	}
	l.opts.OnEntry(e.Action, e.Result)
	l.opts.Log.Info("audit", "who", e.Who, "action", e.Action, "target", e.Target, "reason", e.Reason, "result", e.Result,
		"detail", e.Detail, "count", max(1, e.Count), "address", e.Address)
	line, _ := json.Marshal(e) // of texts, a number and a time
	l.write(line)
	l.share(item{list, string(line)})
}

// cut returns a text as valid UTF-8 of at most maxText bytes or little more. What a terminal would
// take for a command, or turns the text around, is replaced.
func cut(s string) string {
	const end = "…"
	if len(s) > maxText {
		s = s[:maxText-len(end)] + end
	}
	return strings.Map(func(r rune) rune {
		if r >= 0x7f && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) { // JSON escapes the others
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// LoggedIn records that an operator got in, unless that was recorded lately.
func (l *Log) LoggedIn(who, address string) {
	if l == nil {
		return
	}
	key := login{who, address}
	if at, known := l.logins.Get(key); known && time.Since(at) < loginInterval {
		return
	}
	l.logins.Add(key, time.Now())
	l.Record(Entry{Who: who, Action: Login, Result: Done, Address: address})
}
