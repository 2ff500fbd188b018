package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/limits"
	"github.com/zonecast/zonecast/loadtest/internal/problem"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/ws"
)

// probeTimeout is how long something may take to go through the server before the run.
const probeTimeout = 5 * time.Second

// A TargetError says why the run can't begin, and what to change.
type TargetError struct{ Text string }

func (e *TargetError) Error() string { return e.Text }

// preflight makes sure, within seconds and before a thousand connections are opened, that the run can work at all.
func (r *Run) preflight(ctx context.Context) error {
	descriptors := r.plan.Connections + len(r.plan.WSURLs)
	if len(r.plan.PublishBases) > 0 {
		descriptors += r.plan.Publishers
	}
	if err := limits.Descriptors(descriptors); err != nil {
		return err
	}
	err := r.load.probe(ctx)
	if err != nil && ctx.Err() != nil {
		return &TargetError{"interrupted before the run began"}
	}
	return err
}

// A probe is a connection that is used before the run only.
type probe struct {
	url  string // without its query
	conn *ws.Conn
	done chan struct{} // closed when it has seen everything

	ended chan struct{} // closed when its connection ended
	why   error         // of that; set before

	mu      sync.Mutex
	missing map[int]bool // what it has not seen yet
}

// probes are the probes of all instances.
type probes struct {
	all     []*probe
	readers sync.WaitGroup
}

// openProbes joins the room on each instance. Each probe has n things to see, numbered from 0; see takes those that a
// frame shows off the list.
func (r *Run) openProbes(ctx context.Context, see func(f wire.ServerFrame, missing map[int]bool), n int) (*probes, error) {
	ps := &probes{}
	for _, url := range r.plan.WSURLs {
		conn, hello, err := r.dialer.Dial(ctx, url)
		if err != nil {
			return ps, explainDial(url, err)
		}
		p := &probe{
			url: withoutQuery(url), conn: conn, missing: map[int]bool{}, done: make(chan struct{}), ended: make(chan struct{}),
		}
		for i := range n {
			p.missing[i] = true
		}
		ps.all = append(ps.all, p)
		ps.readers.Go(func() { p.read(see) })
		if _, ok := position(hello, r.plan.Room); !ok {
			return ps, &TargetError{fmt.Sprintf("%s: %s", p.url, notInRoom(hello, r.plan.Room))}
		}
	}
	return ps, nil
}

func (p *probe) read(see func(wire.ServerFrame, map[int]bool)) {
	defer close(p.ended)
	p.why = p.conn.Read(func(b []byte) {
		f, err := wire.DecodeServer(b)
		if err != nil {
			return // the run itself will count what it can't read
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.missing) == 0 {
			return
		}
		if see(f, p.missing); len(p.missing) == 0 {
			close(p.done)
		}
	})
}

// wait waits until all probes have seen everything. If one does not in time the error is what blame says about it, with
// one of the things that it did not see.
func (ps *probes) wait(ctx context.Context, blame func(url string, missing int) string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	for _, p := range ps.all {
		select {
		case <-p.done:
		case <-p.ended:
			return &TargetError{fmt.Sprintf("%s ended a connection before the run began: %v", p.url, p.why)}
		case <-ctx.Done():
			p.mu.Lock()
			defer p.mu.Unlock()
			for i := range p.missing {
				return &TargetError{blame(p.url, i)}
			}
		}
	}
	return nil
}

// mark returns the data of probe i: as long as that of the run's messages, so that what is too long is known at once.
func (r *Run) mark(i int) []byte {
	p := fmt.Appendf(nil, `{"probe":%d,"of":%q,"pad":"`, i, stamp.NewRun())
	const tail = `"}`
	return append(append(p, strings.Repeat("x", max(r.plan.PayloadBytes-len(p)-len(tail), 0))...), tail...)
}

func (ps *probes) close() {
	for _, p := range ps.all {
		p.conn.Close()
	}
	ps.readers.Wait()
}

// explainDial says what to do about a connection that could not be opened.
func explainDial(url string, err error) error {
	var status *problem.Status
	var protocol *ws.ProtocolError
	var advice string
	switch {
	case errors.As(err, &status) && (status.Code == 401 || status.Code == 403):
		advice = "give a token that permits this room (--token, TOKEN)"
	case errors.As(err, &status) && status.Code == 404:
		advice = "Zonecast's path is /ws: correct --ws-url (WS_URL)"
	case errors.As(err, &status) && (status.Code == 429 || status.Code == 503):
		advice = "try again later, or raise the server's limits"
	case errors.As(err, &status), errors.As(err, &protocol):
		advice = "is it a Zonecast server, and the path /ws? (--ws-url, WS_URL)"
	default:
		advice = explainNetwork(err, "WS_URL (--ws-url)")
	}
	return &TargetError{fmt.Sprintf("can't connect to %s: %v; %s", withoutQuery(url), err, advice)}
}

// explainPublish says what to do about an event that could not be published.
func explainPublish(base string, err error) error {
	var status *problem.Status
	var advice string
	switch {
	case errors.As(err, &status) && (status.Code == 401 || status.Code == 403):
		advice = "give an API key that may publish (--publish-key, PUBLISH_KEY)"
	case errors.As(err, &status) && (status.Code == 404 || status.Code == 405):
		advice = "that is not the address of a Zonecast server: correct --publish-url (PUBLISH_URL), without the API's path"
	case errors.As(err, &status) && status.Code == 413:
		advice = "lower --payload-bytes (PAYLOAD_BYTES)"
	case errors.As(err, &status):
		advice = "can this server take events now?"
	default:
		advice = explainNetwork(err, "PUBLISH_URL (--publish-url)")
	}
	return &TargetError{fmt.Sprintf("can't publish at %s: %v; %s", base, err, advice)}
}

func explainNetwork(err error, setting string) string {
	switch failure.Kind(err) {
	case "connection refused":
		return "start the server there, or correct " + setting
	case "host not found":
		return "correct the host's name in " + setting
	case "timeout", "no route to the host":
		return "is the address in " + setting + " right, and can it be reached from here?"
	}
	return "is " + setting + " right?"
}
