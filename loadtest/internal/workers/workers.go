//go:build linux

// Package workers runs workers: in this process, in others on this machine, and on other machines.
//
//	scenario ──▶ Local, Spawn, Dial ──▶ Client.Do(command)  one at a time, each answered once
//	                                    tick                each second, and counts in between
//	process  ──▶ Serve(in, out)         the other end, in a process of its own
//	machine  ──▶ Listener.Serve         the same for coordinators that authenticate, over TLS
//
// Commands, replies and ticks are JSON, one a line. All fail once a client's process ended.
package workers

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/handshake"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
)

// A Client sends commands to a worker.
type Client struct {
	Name string
	do   func(ctx context.Context, o worker.Command) worker.Reply
	end  func()
}

// Do sends a command and waits for the reply. When ctx ends, the worker stops, and still replies.
func (m *Client) Do(ctx context.Context, o worker.Command) (worker.Reply, error) {
	a := m.do(ctx, o)
	if a.Failure != "" {
		return a, fmt.Errorf("%s: %s", m.Name, a.Failure)
	}
	return a, nil
}

// Close ends the worker and waits for its end.
func (m *Client) Close() {
	m.do(context.Background(), worker.Command{Do: worker.DoClose})
	m.end()
}

// Local returns a worker in this process.
func Local(tick func(*worker.Tick)) *Client {
	requests := make(chan worker.Request)
	var serving sync.WaitGroup
	serving.Go(func() { worker.Serve(requests, tick) })
	return &Client{
		Name: "the load tester",
		do: func(ctx context.Context, o worker.Command) worker.Reply {
			answer := make(chan worker.Reply, 1)
			requests <- worker.Request{Command: o, Context: ctx, Reply: answer}
			return <-answer
		},
		end: serving.Wait,
	}
}

// A message is one line of the connection.
type message struct {
	Command *worker.Command `json:",omitempty"`
	Reply   *worker.Reply   `json:",omitempty"`
	Tick    *worker.Tick    `json:",omitempty"`
	// Clock is the sender's clock; a message with nothing else asks a worker for its own.
	Clock uint64 `json:",omitempty"`
}

// maxMessage is the longest message in bytes.
const maxMessage = 512 << 20

// A link carries messages, for one reader and several writers.
type link struct {
	in      *bufio.Scanner
	sending sync.Mutex
	out     io.Writer
}

func newLink(r io.Reader, w io.Writer) *link {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), maxMessage)
	return &link{in: in, out: w}
}

func (l *link) send(m message) error {
	p, err := json.Marshal(m)
	if err != nil {
		return err
	}
	l.sending.Lock()
	defer l.sending.Unlock()
	_, err = l.out.Write(append(p, '\n'))
	return err
}

func (l *link) receive() (m message, err error) {
	if !l.in.Scan() {
		return m, cmp.Or(l.in.Err(), io.EOF)
	}
	return m, json.Unmarshal(l.in.Bytes(), &m)
}

// Spawn starts a worker in a process of its own: command is how to start this program as one.
func Spawn(name string, command *exec.Cmd, tick func(*worker.Tick)) (*Client, error) {
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	m := newClient(name, newLink(out, in), 0, tick)
	end := m.end
	m.end = func() { _ = in.Close(); end(); _ = command.Wait() }
	return m, nil
}

// Dial connects to a worker on another machine that has the same key, and measures the offset of
// its clock, to within half of the shortest of some round trips.
func Dial(ctx context.Context, address string, key handshake.Key, tick func(*worker.Tick)) (m *Client, uncertain time.Duration, err error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, 0, fmt.Errorf("worker at %s: %w; start it there with: loadtest worker --listen %s", address, err, address)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	_ = conn.SetDeadline(time.Now().Add(callTimeout)) // of an open connection never fails
	line, err := handshake.Client(conn, key)
	l := newLink(line, line)
	var ahead int64
	if err == nil {
		ahead, uncertain, err = compareClocks(l)
	}
	if err != nil || !stop() {
		_ = conn.Close()
		return nil, 0, fmt.Errorf("worker at %s: %w", address, explain(ctx, err))
	}
	_ = conn.SetDeadline(time.Time{})
	m = newClient("the worker at "+address, l, ahead, tick)
	end := m.end
	m.end = func() { _ = line.Close(); end() }
	return m, uncertain, nil
}

// callTimeout is how long the handshake may take: longer than a worker waits for another run's end.
const callTimeout = 2 * authTimeout

// explain adds to a handshake's error what to do about it.
func explain(ctx context.Context, err error) error {
	const give = "give both the same --worker-key (WORKER_KEY)"
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, handshake.ErrKeyRequired), errors.Is(err, handshake.ErrWrongKey):
		return fmt.Errorf("%w: %s", err, give)
	case errors.Is(err, handshake.ErrNoKey):
		return fmt.Errorf("%w, so it can't prove that it is yours: %s", err, give)
	case errors.Is(err, handshake.ErrBusy):
		return fmt.Errorf("%w: wait for the end of that run", err)
	case errors.Is(err, handshake.ErrProtocol):
		return fmt.Errorf("%w: is it a loadtest worker, and of the same version?", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no answer within %v: is it a loadtest worker, and of the same version?", callTimeout)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("it closed the connection: see its log")
	}
	return err
}

func compareClocks(l *link) (ahead int64, uncertain time.Duration, err error) {
	uncertain = time.Hour
	for range 20 {
		asked := client.Now()
		if err := l.send(message{Clock: asked}); err != nil {
			return 0, 0, err
		}
		answer, err := l.receive()
		if err != nil {
			return 0, 0, err
		}
		now := client.Now()
		if half := time.Duration(now-asked) / 2; half < uncertain {
			uncertain = half
			ahead = int64(answer.Clock) - int64(asked+uint64(half))
		}
	}
	return ahead, uncertain, nil
}

func newClient(name string, l *link, ahead int64, tick func(*worker.Tick)) *Client {
	answers := make(chan worker.Reply, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(answers)
		for {
			m, err := l.receive()
			switch {
			case err != nil:
				return
			case m.Tick != nil:
				tick(m.Tick)
			case m.Reply != nil:
				answers <- *m.Reply
			}
		}
	})
	return &Client{
		Name: name,
		do: func(ctx context.Context, o worker.Command) worker.Reply {
			if o.Step != nil {
				step := *o.Step
				step.Start = uint64(int64(step.Start) + ahead)
				o.Step = &step
			}
			if o.Job != nil {
				job := *o.Job
				job.ClockAhead = ahead
				o.Job = &job
			}
			stop := context.AfterFunc(ctx, func() { _ = l.send(message{Command: &worker.Command{Do: worker.DoStop}}) })
			defer stop()
			if err := l.send(message{Command: &o}); err != nil {
				return worker.Reply{Failure: "its process ended: " + err.Error()}
			}
			a, ok := <-answers
			if !ok {
				return worker.Reply{Failure: "its process ended"}
			}
			return a
		},
		end: reading.Wait,
	}
}

// Serve runs a worker that executes the commands of a connection until it ends.
func Serve(ctx context.Context, r io.Reader, w io.Writer) error {
	l := newLink(r, w)
	send := func(m message) { _ = l.send(m) } // a line that broke ends the reading as well
	requests := make(chan worker.Request)
	var serving sync.WaitGroup
	serving.Go(func() { worker.Serve(requests, func(t *worker.Tick) { send(message{Tick: t}) }) })
	defer serving.Wait()
	defer close(requests)

	ctx, cancelAll := context.WithCancel(ctx)
	defer cancelAll()
	stop := func() {}
	var answering sync.WaitGroup
	defer answering.Wait()
	for {
		m, err := l.receive()
		switch {
		case err != nil:
			stop()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case m.Command == nil:
			send(message{Clock: client.Now()})
		case m.Command.Do == worker.DoStop:
			stop()
		default:
			running, cancel := context.WithCancel(ctx)
			stop = cancel
			answer := make(chan worker.Reply, 1)
			requests <- worker.Request{Command: *m.Command, Context: running, Reply: answer}
			answering.Go(func() {
				defer cancel()
				a := <-answer
				send(message{Reply: &a})
			})
			if m.Command.Do == worker.DoClose {
				answering.Wait()
				return nil
			}
		}
	}
}
