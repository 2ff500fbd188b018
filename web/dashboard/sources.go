package dashboard

import (
	"context"
	"time"
)

// Sources are what the pages other than the overview ask. Each is asked with the context of a
// request, whose sender decides what is told, and has to answer when it ends. One that is nil has
// no page.
type Sources struct {
	// Clients returns a page of the clients that a query selects.
	Clients func(context.Context, ClientQuery) (ClientPage, error)
	// Client returns one client; nil when no instance that answered has it.
	Client func(ctx context.Context, id string) (*ClientDetail, FanOut, error)
	// Closed returns a page of the connections that ended lately.
	Closed func(context.Context, ClosedQuery) (ClosedPage, error)
	// Events returns a page of what happened to the system.
	Events func(context.Context, EventQuery) (EventPage, error)
	// Screens returns the wall screens.
	Screens func(context.Context) (ScreenPage, error)
	// Pairing returns the screen that shows a code, as typed; without a code none. The error says
	// why there is none, or why screens can't be paired at all. nil where no screen has to be.
	Pairing func(ctx context.Context, code string) (PairingRequest, error)
	// Past returns what all instances remember of a window, by its name.
	Past func(ctx context.Context, window string) (PastPage, error)
	// Instances returns all instances.
	Instances func(context.Context) (InstancePage, error)
	// Room returns how a warehouse or a zone stands. It needs Clients.
	Room func(context.Context, Room) (RoomState, error)
}

// A FanOut says which instances an answer is of.
type FanOut struct {
	Asked, Answered int
	// Missing names those that did not answer, each maybe with why; Incomplete says why there may
	// be more.
	Missing    []string
	Incomplete string
}

// Complete reports whether nothing is missing.
func (f FanOut) Complete() bool { return len(f.Missing) == 0 && f.Incomplete == "" }

// A Room is a warehouse, or a zone of it.
type Room struct{ Warehouse, Zone string }

// A ClientQuery selects clients. What is empty does not matter.
type ClientQuery struct {
	Search                                                 string // in the ID, user, address, User-Agent or a room
	Warehouse, Zone, User, Transport, Address, Agent, Node string
	Slow                                                   bool
	MinQueued                                              int      // bytes
	IDs                                                    []string // these alone
	OpenedBefore                                           time.Time

	Sort  string // one of clientSorts
	After string // ClientPage.Next of the page before
	Limit int
	// Show asks for these, instead of a page of those that are selected, which are only counted.
	Show []string
	// ToDisconnect selects only those whom who asks may disconnect.
	ToDisconnect bool
}

// SelectsAll reports whether the query leaves nobody out.
func (q ClientQuery) SelectsAll() bool {
	return q.Search+q.Warehouse+q.Zone+q.User+q.Transport+q.Address+q.Agent+q.Node == "" && !q.Slow && q.MinQueued == 0 && len(q.IDs) == 0
}

// A ClientPage has clients in the order of the query.
type ClientPage struct {
	FanOut
	Clients []Client
	Total   int    // that are selected, from the place on where the page begins
	Next    string // empty at the end
}

// A Client is one connection.
type Client struct {
	ID, User, Transport, Address, Agent, Node string
	Rooms                                     []Room
	Since                                     time.Time
	RoundTrip                                 time.Duration // 0: not known
	Queued                                    int           // bytes that wait
	Slow                                      bool
	Sent, SentBytes                           uint64 // messages, bytes
	Received, ReceivedBytes                   uint64 // frames, bytes
}

// A ClientDetail is one connection with where it is in its rooms.
type ClientDetail struct {
	Client
	Places []Place
}

// A Place is where a connection is in a room.
type Place struct {
	Room
	Offset  string // of the newest message at its instance
	Waiting int    // messages that were not written to it yet
}

// A ClosedQuery selects connections that ended. What is empty does not matter.
type ClosedQuery struct {
	Search, Code, Warehouse, Zone string
	// User selects those of one client; those without a user by Address and Agent.
	User, Address, Agent string
	Before               string // ClosedPage.Next of the page before
	Limit                int
}

// A ClosedPage has connections that ended, the last ones first.
type ClosedPage struct {
	FanOut
	Connections []ClosedConnection
	Total       int
	Next        string // empty at the end
	Churn       []Churn
}

// A ClosedConnection is a connection that ended.
type ClosedConnection struct {
	Time                                      time.Time
	ID, User, Transport, Address, Agent, Node string
	Code                                      string // the name of the close code
	Why                                       string // in words, where the server knows more
	Rooms                                     []Room
	MoreRooms                                 int
	Stayed                                    time.Duration
	Sent                                      uint64    // messages
	Returned                                  time.Time // zero: not yet
}

// A Churn counts what ended, or was refused, for one reason.
type Churn struct {
	// Reason is the name of a close code, or that of a refusal when Refused.
	Reason              string
	Refused             bool
	Minute, FiveMinutes int
}

// An EventQuery selects events. What is empty does not matter.
type EventQuery struct {
	Kind, Node string
	Since      time.Time
	Before     string // EventPage.Next of the page before
	Limit      int
}

// An EventPage has events, the last ones first.
type EventPage struct {
	Events []Event
	Next   string // empty at the end
}

// An Event is something that happened to the system.
type Event struct {
	Time   time.Time
	Kind   string // one of eventKinds
	Node   string // what it happened to
	Detail string
	Lasted time.Duration // of what is over; else 0
	Count  int           // of several in one; else 0
}
