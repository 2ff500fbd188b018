//go:build linux

package scenario

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
)

// probeTimeout is how long something may take to go through the server before the run.
const probeTimeout = 5 * time.Second

// A TargetError says why the run can't begin, and what to change.
type TargetError struct{ Text string }

func (e *TargetError) Error() string { return e.Text }

var errInterruptedEarly = &TargetError{"interrupted before the run began"}

// preflight makes sure, within seconds and before a thousand connections are opened, that the run
// can work at all.
func (r *Run) preflight(ctx context.Context) error {
	if ctx.Err() != nil {
		return errInterruptedEarly
	}
	if err := r.resolve(ctx); err != nil {
		return err
	}
	if err := r.divide(); err != nil {
		return err
	}
	if err := r.ports(); err != nil {
		return err
	}
	for _, pid := range r.plan.ServerPIDs {
		if _, err := fromProc(pid); err != nil {
			return &TargetError{fmt.Sprintf("can't read the process %d: %v; name processes of the server on this machine with --server-pid (SERVER_PID), "+
				"or leave it out", pid, err)}
		}
	}
	err := r.probe(ctx)
	if err != nil && ctx.Err() != nil {
		return errInterruptedEarly
	}
	return err
}

// A prober sends something through the whole path once.
type prober struct {
	run      *Run
	loop     *client.Loop
	codec    protocol.Codec
	template *stamp.Template
	probes   []*probe
	senders  []*sender
	err      error
}

// A probe is a member on one instance.
type probe struct {
	p       *prober
	url     string
	conn    *client.Conn
	ready   bool
	missing map[uint32]bool // the numbers of what it has not seen yet
}

// A sender sends one message on a connection of its own: as a client's frame or as a request.
type sender struct {
	p       *prober
	url     string
	frame   []byte         // nil for the publish API
	request *http1.Request // nil on a WebSocket
	explain func(err error) error
	done    bool
}

// probe joins on each instance, sends something, and waits until each probe has all of it.
func (r *Run) probe(ctx context.Context) (err error) {
	p := &prober{run: r}
	if p.codec, err = protocol.New(r.plan.Protocol, r.plan.PayloadBytes, r.plan.Token); err != nil {
		return err
	}
	if p.template, err = stamp.New(stamp.NewRun(), r.plan.PayloadBytes); err != nil {
		return err
	}
	if p.loop, err = client.Open(client.Options{Protocol: p.codec, Deflate: r.plan.Deflate, Sources: r.addresses.sources,
		Roots: client.Roots(r.plan.CA), Header: r.plan.Header}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.loop.Close()) }()
	for _, a := range r.addresses.targets {
		b := &probe{p: p, url: a.URL, missing: map[uint32]bool{}}
		p.probes = append(p.probes, b)
		b.conn, err = p.loop.Dial(r.mode(), a.Target(r.plan.Token), protocol.Subscription{Room: r.plan.Rooms[0]}, b)
		if err != nil {
			return r.explainDial(a.URL, err)
		}
	}
	joining := func(b *probe) bool { return !b.ready }
	if err := p.waitWhile(ctx, func() bool { return slices.ContainsFunc(p.probes, joining) }); err != nil {
		return p.explainTimeout(err, func(b *probe) (string, bool) {
			return r.explainDial(b.url, client.ErrTimeout).Error(), !b.ready
		})
	}
	if s := r.plan.Scenario; s == settings.Echo || s == settings.Mixed {
		if err := p.echo(ctx); err != nil {
			return err
		}
	}
	if !r.plan.Publishes() {
		return nil
	}
	return p.publish(ctx)
}

func (p *prober) echo(ctx context.Context) error {
	for i, b := range p.probes {
		b.missing[uint32(i)] = true
		echo := p.codec.AppendEcho(nil, protocol.FirstID, p.data(uint32(i)))
		if p.run.mode() == client.WebSocket {
			p.loop.Send(b.conn, echo)
		} else if err := p.sendFrame(i, echo); err != nil {
			return err
		}
	}
	err := p.waitWhile(ctx, p.incomplete)
	return p.explainTimeout(err, func(b *probe) (string, bool) {
		return fmt.Sprintf("%s did not answer an echo of %d bytes within %v: is it a Zonecast server?",
			b.url, p.run.plan.PayloadBytes, probeTimeout), len(b.missing) > 0
	})
}

// publish publishes a message at each instance, as the run does, until every probe has all.
func (p *prober) publish(ctx context.Context) error {
	publish, instances := p.post, len(p.run.addresses.bases)
	if p.run.plan.PublishAs == settings.AsClient {
		publish, instances = p.publishFrame, len(p.probes)
	}
	p.senders = nil
	for i := range instances {
		for _, b := range p.probes {
			b.missing[uint32(i)] = true
		}
		if err := publish(i); err != nil {
			return err
		}
	}
	sending := func(s *sender) bool { return !s.done }
	err := p.waitWhile(ctx, func() bool { return slices.ContainsFunc(p.senders, sending) })
	if i := slices.IndexFunc(p.senders, sending); i >= 0 && errors.Is(err, client.ErrTimeout) {
		return p.senders[i].explain(err)
	}
	if err == nil {
		err = p.waitWhile(ctx, p.incomplete)
	}
	return p.explainTimeout(err, func(b *probe) (string, bool) {
		for seq := range b.missing {
			return fmt.Sprintf("an event published at %s did not reach a member at %s within %v: are both of one cluster, on the same Redis?",
				p.senders[seq].url, b.url, probeTimeout), true
		}
		return "", false
	})
}

func (p *prober) post(instance int) error {
	a := p.run.addresses.bases[instance]
	body := append(append([]byte(`{"event":"`+stamp.Event+`","data":`), p.data(uint32(instance))...), '}')
	s := &sender{p: p, url: a.URL, explain: func(err error) error { return explainPublish(a.URL, err) }}
	s.request = &http1.Request{Method: "POST", Target: strings.TrimSuffix(a.Path, "/") + worker.PublishPath(p.run.plan.Rooms[0]),
		ContentType: "application/json", Body: body}
	return s.dial(client.Requests, a.Target(p.run.plan.PublishKey))
}

func (p *prober) publishFrame(instance int) error {
	return p.sendFrame(instance, p.codec.AppendPublish(nil, protocol.FirstID, p.run.plan.Rooms[0], p.data(uint32(instance))))
}

// sendFrame sends a frame to an instance, as one of the run's clients does.
func (p *prober) sendFrame(instance int, frame []byte) error {
	a := p.run.addresses.targets[instance]
	target := a.Target(p.run.plan.Token)
	s := &sender{p: p, url: a.URL, frame: frame, explain: func(err error) error { return p.run.explainDial(a.URL, err) }}
	if p.run.mode() == client.WebSocket {
		return s.dial(client.WebSocket, target)
	}
	s.request = worker.PostFrame(p.codec, target, frame)
	return s.dial(client.Requests, target)
}

func (s *sender) dial(mode client.Mode, target *client.Target) error {
	s.p.senders = append(s.p.senders, s)
	if _, err := s.p.loop.Dial(mode, target, protocol.Subscription{}, s); err != nil {
		return s.explain(err)
	}
	return nil
}

// data returns the data of probe i: as long as that of the run's messages, so that what is too long
// is known at once.
func (p *prober) data(i uint32) []byte {
	return p.template.Append(nil, stamp.Stamp{Stream: stamp.Probe, Seq: i, At: client.Now()})
}

func (p *prober) incomplete() bool {
	return slices.ContainsFunc(p.probes, func(b *probe) bool { return len(b.missing) > 0 })
}

// waitWhile steps while something holds; the error is a probe's, ctx's, or [client.ErrTimeout].
func (p *prober) waitWhile(ctx context.Context, holds func() bool) error {
	for end := client.Now() + uint64(probeTimeout); holds(); {
		if err := p.loop.Step(10 * time.Millisecond); err != nil {
			return err
		}
		switch {
		case p.err != nil:
			return p.err
		case ctx.Err() != nil:
			return errInterruptedEarly
		case client.Now() > end:
			return client.ErrTimeout
		}
	}
	return p.err
}

// explainTimeout replaces a timeout by what blame says about the first probe to blame.
func (p *prober) explainTimeout(err error, blame func(b *probe) (string, bool)) error {
	if !errors.Is(err, client.ErrTimeout) {
		return err
	}
	for _, b := range p.probes {
		if text, guilty := blame(b); guilty {
			return &TargetError{text}
		}
	}
	return err
}

func (p *prober) fail(err error) { p.err = cmp.Or(p.err, err) }

func (b *probe) Event(_ *client.Conn, e *protocol.Event, _ uint64) {
	switch e.Kind {
	case protocol.Ready:
		b.ready = true
	case protocol.NotInRoom:
		b.p.fail(&TargetError{fmt.Sprintf("%s: asked for the room %s, the server joined the connection to %q", b.url, b.p.run.plan.Rooms[0], e.Reason)})
	case protocol.JoinRefused:
		b.p.fail(&TargetError{fmt.Sprintf("%s does not let a member into the room %s: %s", b.url, b.p.run.plan.Rooms[0], e.Reason)})
	case protocol.Delivery, protocol.Ack:
		if s, ok := b.p.template.Read(e.Data); ok {
			delete(b.missing, s.Seq)
		}
	case protocol.ServerError, protocol.Refused:
		if b.ready {
			b.p.fail(&TargetError{fmt.Sprintf("%s answers a probe with %s: %s", b.url, e.Reason, errorText(e))})
		} else {
			b.p.fail(explainServerError(b.url, e))
		}
	}
}

func (b *probe) Response(*client.Conn, *http1.Response, uint64) {}

func (b *probe) Closed(_ *client.Conn, why error, _ uint64) {
	if b.ready {
		b.p.fail(&TargetError{fmt.Sprintf("%s ended a connection before the run began: %v", b.url, why)})
		return
	}
	b.p.fail(b.p.run.explainDial(b.url, why))
}

func (s *sender) Event(c *client.Conn, e *protocol.Event, _ uint64) {
	switch e.Kind {
	case protocol.Ready:
		if s.request != nil {
			s.p.loop.Request(c, s.request)
		} else {
			s.p.loop.Send(c, s.frame)
		}
	case protocol.Ack:
		s.done = true
		if mark, ok := s.p.template.Read(e.Data); ok && int(mark.Seq) < len(s.p.probes) { // an echo
			delete(s.p.probes[mark.Seq].missing, mark.Seq)
		}
	case protocol.Refused, protocol.ServerError:
		s.p.fail(explainFrameError(s.url, e))
	}
}

func (s *sender) Response(c *client.Conn, r *http1.Response, now uint64) {
	if s.frame != nil {
		e, err := worker.ReadPosted(s.p.codec, r)
		if err != nil {
			s.p.fail(s.explain(err))
			return
		}
		s.Event(c, &e, now)
		return
	}
	if r.Status != 200 {
		s.p.fail(s.explain(failure.NewStatus(r.Status, r.Body)))
		return
	}
	s.done = true
}

func (s *sender) Closed(_ *client.Conn, why error, _ uint64) {
	if !s.done {
		s.p.fail(s.explain(why))
	}
}

// explainFrameError adds what to do when a server refuses a client's frame.
func explainFrameError(url string, e *protocol.Event) error {
	advice := "can this server take messages now?"
	switch e.Reason {
	case "unauthenticated", "forbidden":
		advice = "give a token that may publish there (--token, TOKEN), or publish through the API (--publish-as api)"
	case "rate_limited":
		advice = "raise the server's limits of frames (RATE_LIMIT_TOKENS, RATE_LIMIT_REFILL)"
	case "too_big":
		advice = "lower --payload-bytes (PAYLOAD_BYTES)"
	}
	return &TargetError{fmt.Sprintf("%s does not take a client's message: %s: %s; %s", url, e.Reason, errorText(e), advice)}
}

// errorText are what a server said in an error, for a person.
func errorText(e *protocol.Event) string {
	var said wire.Error
	if json.Unmarshal(e.Data, &said) != nil || said.Message == "" {
		return string(e.Data)
	}
	return said.Message
}

// explainServerError adds what to do when a server refuses a connection by an error frame.
func explainServerError(url string, e *protocol.Event) error {
	advice := "is it the right server?"
	switch e.Reason {
	case "unauthenticated", "forbidden":
		advice = "give a token that permits this room (--token, TOKEN)"
	case "limit_reached", "unavailable":
		advice = "try again later, or raise the server's limits"
	}
	return &TargetError{fmt.Sprintf("can't connect to %s: the server answered %s: %s; %s", url, e.Reason, errorText(e), advice)}
}

// explainDial adds what to do when a connection fails.
func (r *Run) explainDial(address string, err error) error {
	var status *failure.Status
	var malformed *client.ProtocolError
	var advice string
	server, path := serverNames[r.plan.Protocol], protocol.Path(r.plan.Protocol)
	switch {
	case errors.As(err, &status) && (status.Code == 401 || status.Code == 403):
		advice = "give a token that permits this room (--token, TOKEN)"
	case errors.As(err, &status) && status.Code == 404:
		advice = fmt.Sprintf("%s's path is %s: correct --ws-url (WS_URL)", server, path)
	case errors.As(err, &status) && (status.Code == 429 || status.Code == 503):
		advice = "try again later, or raise the server's limits"
	case errors.As(err, &status), errors.As(err, &malformed), errors.Is(err, http1.ErrHead), errors.Is(err, io.ErrUnexpectedEOF):
		advice = fmt.Sprintf("is it a %s server (--protocol, PROTOCOL), and the path %s? (--ws-url, WS_URL)", server, path)
	default:
		advice = explainNetwork(err, "WS_URL (--ws-url)")
	}
	return &TargetError{fmt.Sprintf("can't connect to %s: %v; %s", withoutQuery(address), err, advice)}
}

// serverNames are those of the protocols' servers.
var serverNames = map[string]string{settings.Zonecast: "Zonecast", settings.SocketIO: "Socket.IO", settings.Centrifugo: "Centrifugo"}

// explainPublish adds what to do when a publish fails.
func explainPublish(base string, err error) error {
	var status *failure.Status
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
	case "no local port left":
		return "is --source-address (SOURCE_ADDRESS) an address of this machine?"
	case "timeout", "no route to the host":
		return "is the address in " + setting + " right, and can it be reached from here?"
	}
	return "is " + setting + " right?"
}

// withoutQuery leaves out what may be a secret.
func withoutQuery(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.RawQuery = ""
	return u.String()
}
