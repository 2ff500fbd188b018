//go:build linux

// Package crew puts workers to work: in this process, in others on this machine, and on other machines.
//
//	scenario ──▶ Local, Spawn, Dial ──▶ Mate.Do(order)     one order after the other, each answered once
//	                                    tick               each second, and counts in between
//	process  ──▶ Serve(in, out)         the other end, in a process of its own
//	machine  ──▶ Door.Open(listener)    the same for coordinators that connect, and prove that they may; over TLS
//
// Orders, answers and ticks are JSON objects, one a line. A mate whose process ends answers what it was told with a failure.
package crew

import (
	"bufio"
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

	"github.com/zonecast/zonecast/loadtest/internal/handshake"
	"github.com/zonecast/zonecast/loadtest/internal/swarm"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
)

// A Mate is a worker that takes orders.
type Mate struct {
	Name string
	do   func(ctx context.Context, o worker.Order) worker.Answer
	end  func()
}

// Do gives an order and waits for its answer. When ctx ends the worker is told to stop, and still answers.
func (m *Mate) Do(ctx context.Context, o worker.Order) (worker.Answer, error) {
	a := m.do(ctx, o)
	if a.Failure != "" {
		return a, fmt.Errorf("%s: %s", m.Name, a.Failure)
	}
	return a, nil
}

// Close ends the mate and waits for its end.
func (m *Mate) Close() {
	m.do(context.Background(), worker.Order{Do: worker.DoClose})
	m.end()
}

// Local returns a worker in this process.
func Local(tick func(*worker.Tick)) *Mate {
	orders := make(chan worker.Served)
	var serving sync.WaitGroup
	serving.Go(func() { worker.Serve(orders, tick) })
	return &Mate{
		Name: "the load tester",
		do: func(ctx context.Context, o worker.Order) worker.Answer {
			answer := make(chan worker.Answer, 1)
			orders <- worker.Served{Order: o, Context: ctx, Answer: answer}
			return <-answer
		},
		end: serving.Wait,
	}
}

// A letter is what goes over the line.
type letter struct {
	Order  *worker.Order  `json:",omitempty"`
	Answer *worker.Answer `json:",omitempty"`
	Tick   *worker.Tick   `json:",omitempty"`
	// Clock is the sender's clock: asked for by one without an answer, and answered by one with Heard, the asker's.
	Clock uint64 `json:",omitempty"`
	Heard uint64 `json:",omitempty"`
}

// maxLetter is the longest letter in bytes.
const maxLetter = 512 << 20

// Spawn starts a worker in a process of its own: command is how to start this program as one.
func Spawn(name string, command *exec.Cmd, tick func(*worker.Tick)) (*Mate, error) {
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
	m := remote(name, in, out, 0, tick)
	end := m.end
	m.end = func() { _ = in.Close(); end(); _ = command.Wait() }
	return m, nil
}

// Dial reaches a worker on another machine that has the same key, and finds out how its clock stands to this one's, to half
// of the shortest of some round trips.
func Dial(ctx context.Context, address string, key handshake.Key, tick func(*worker.Tick)) (m *Mate, uncertain time.Duration, err error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, 0, fmt.Errorf("worker at %s: %w; start it there with: loadtest worker --listen %s", address, err, address)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	line, ahead, uncertain, err := meet(conn, key)
	if err != nil || !stop() {
		_ = conn.Close()
		return nil, 0, fmt.Errorf("worker at %s: %w", address, explain(ctx, err))
	}
	m = remote("the worker at "+address, line, line, ahead, tick)
	end := m.end
	m.end = func() { _ = line.Close(); end() }
	return m, uncertain, nil
}

// callTimeout is how long a worker may take until it is ready for work: longer than it waits for another one's end.
const callTimeout = 2 * doorTimeout

// meet makes sure that the worker is one, and compares the clocks.
func meet(conn net.Conn, key handshake.Key) (line net.Conn, ahead int64, uncertain time.Duration, err error) {
	_ = conn.SetDeadline(time.Now().Add(callTimeout)) // of an open connection never fails
	if line, err = handshake.Call(conn, key); err != nil {
		return nil, 0, 0, err
	}
	if ahead, uncertain, err = compare(line, bufio.NewReader(line)); err != nil { // nothing but answers comes yet, so nothing is left in it
		return nil, 0, 0, err
	}
	_ = conn.SetDeadline(time.Time{})
	return line, ahead, uncertain, nil
}

// explain says what to do about a worker that does not work for this coordinator.
func explain(ctx context.Context, err error) error {
	const give = "give both the same --worker-key (WORKER_KEY)"
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, handshake.ErrKeyAsked), errors.Is(err, handshake.ErrKey):
		return fmt.Errorf("%w: %s", err, give)
	case errors.Is(err, handshake.ErrNoKey):
		return fmt.Errorf("%w, so it can't prove that it is yours: %s", err, give)
	case errors.Is(err, handshake.ErrBusy):
		return fmt.Errorf("%w: wait for the end of that run", err)
	case errors.Is(err, handshake.ErrStranger):
		return fmt.Errorf("%w: is it a loadtest worker, and of the same version?", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("it said nothing for %v: is it a loadtest worker, and of the same version?", callTimeout)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("it ended the connection: its own lines say why")
	}
	return err
}

// compare returns how much a worker's clock is ahead of this one's.
func compare(w io.Writer, r *bufio.Reader) (ahead int64, uncertain time.Duration, err error) {
	uncertain = time.Hour
	for range 20 {
		asked := swarm.Now()
		if err := write(w, letter{Clock: asked}); err != nil {
			return 0, 0, err
		}
		var l letter
		if err := read(r, &l); err != nil {
			return 0, 0, err
		}
		now := swarm.Now()
		if half := time.Duration(now-asked) / 2; half < uncertain {
			uncertain = half
			ahead = int64(l.Clock) - int64(asked+uint64(half))
		}
	}
	return ahead, uncertain, nil
}

// remote returns a mate at the other end of a line.
func remote(name string, w io.Writer, r io.Reader, ahead int64, tick func(*worker.Tick)) *Mate {
	var sending sync.Mutex
	send := func(l letter) error {
		sending.Lock()
		defer sending.Unlock()
		return write(w, l)
	}
	answers := make(chan worker.Answer, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(answers)
		in := bufio.NewReaderSize(r, 64<<10)
		for {
			var l letter
			if err := read(in, &l); err != nil {
				return
			}
			switch {
			case l.Tick != nil:
				tick(l.Tick)
			case l.Answer != nil:
				answers <- *l.Answer
			}
		}
	})
	return &Mate{
		Name: name,
		do: func(ctx context.Context, o worker.Order) worker.Answer {
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
			stop := context.AfterFunc(ctx, func() { _ = send(letter{Order: &worker.Order{Do: worker.DoStop}}) })
			defer stop()
			if err := send(letter{Order: &o}); err != nil {
				return worker.Answer{Failure: "its process ended: " + err.Error()}
			}
			a, ok := <-answers
			if !ok {
				return worker.Answer{Failure: "its process ended"}
			}
			return a
		},
		end: reading.Wait,
	}
}

func write(w io.Writer, l letter) error {
	p, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = w.Write(append(p, '\n'))
	return err
}

func read(r *bufio.Reader, l *letter) error {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLetter {
			return errors.New("a letter that is too long")
		}
		if err == nil {
			return json.Unmarshal(line, l)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// Serve is a worker's end of a line: it carries out what it is told until the line ends.
func Serve(ctx context.Context, r io.Reader, w io.Writer) error {
	var sending sync.Mutex
	send := func(l letter) {
		sending.Lock()
		defer sending.Unlock()
		_ = write(w, l) // a line that broke ends the reading as well
	}
	orders := make(chan worker.Served)
	var serving sync.WaitGroup
	serving.Go(func() { worker.Serve(orders, func(t *worker.Tick) { send(letter{Tick: t}) }) })
	defer serving.Wait()
	defer close(orders)

	ctx, cancelAll := context.WithCancel(ctx)
	defer cancelAll()
	in := bufio.NewReaderSize(r, 64<<10)
	stop := func() {}
	var answering sync.WaitGroup
	defer answering.Wait()
	for {
		var l letter
		if err := read(in, &l); err != nil {
			stop()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		switch {
		case l.Order == nil:
			send(letter{Clock: swarm.Now(), Heard: l.Clock})
		case l.Order.Do == worker.DoStop:
			stop()
		default:
			running, cancel := context.WithCancel(ctx)
			stop = cancel
			answer := make(chan worker.Answer, 1)
			orders <- worker.Served{Order: *l.Order, Context: running, Answer: answer}
			answering.Go(func() {
				defer cancel()
				a := <-answer
				send(letter{Answer: &a})
			})
			if l.Order.Do == worker.DoClose {
				answering.Wait()
				return nil
			}
		}
	}
}
