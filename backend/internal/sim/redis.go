package sim

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// A redisModel is a Redis that runs the real scripts, one command at a time. It keeps its writes as
// a list, so that it can come back without the last ones. Only the world calls it.
type redisModel struct {
	net     *network
	dialing sync.Mutex // instances dial at any time
	store   *store
	skew    time.Duration // of its clock
	down    bool          // refuses connections
	full    bool          // refuses writes
	frozen  bool
	killed  map[string]bool // instances that ask for nothing any more
	deaf    bool            // pub/sub messages are lost
	twice   bool            // pub/sub messages come twice
	conns   []*redisConn
	onLose  func(l *redisConn, channel string)
	scripts [][]string
}

// A store is the data of one server.
type store struct {
	mini   *miniredis.Miniredis
	writes []write
	stale  bool // of a demoted master
	wrote  bool // by the command that runs
	pubs   []publication
}

type write struct {
	at   time.Time
	args []string
}

type publication struct{ channel, payload string }

type redisConn struct {
	model      *redisModel
	instance   string
	peer       *peer
	session    *server.Peer
	answer     *bytes.Buffer
	buffer     *bufio.Writer
	store      *store
	in         []byte
	subscribed []string
	gone       bool
}

func newRedisModel(n *network) (*redisModel, error) {
	s, err := newStore()
	return &redisModel{net: n, store: s, killed: map[string]bool{}}, err
}

func newStore() (*store, error) {
	s := &store{mini: miniredis.NewMiniRedis()}
	started, err := s.mini.Dial() // starts it without a socket
	if err != nil {
		return nil, fmt.Errorf("start the model of Redis: %w", err)
	}
	_ = started.Close()
	s.mini.ClockTTL(true)
	return s, nil
}

func (m *redisModel) hook(s *store) server.Hook {
	return func(c *server.Peer, cmd string, args ...string) bool {
		switch cmd {
		case "PUBLISH", "SPUBLISH":
			s.pubs = append(s.pubs, publication{args[0], args[1]})
			c.WriteInt(1)
			return true
		case "EVALSHA", "EVAL", "SCRIPT", "TIME":
			return false
		}
		if s.mini.Server().IsRegisteredCommand(cmd) && !s.mini.IsReadOnlyCommand(cmd) && !connectionCommand(cmd) {
			switch {
			case s.stale:
				c.WriteError("READONLY You can't write against a read only replica.")
				return true
			case m.full && cmd != "DEL" && cmd != "HDEL" && cmd != "XTRIM" && cmd != "ZREM" && !strings.Contains(cmd, "EXPIRE") && cmd != "PERSIST":
				c.WriteError("OOM command not allowed when used memory > 'maxmemory'.")
				return true
			}
			s.wrote = true
		}
		return false
	}
}

func connectionCommand(cmd string) bool {
	return slices.Contains([]string{"PING", "HELLO", "CLIENT", "SELECT", "INFO", "AUTH", "COMMAND"}, cmd)
}

// dial is what instances reach it by.
func (m *redisModel) dial(instance string) (net.Conn, error) {
	if m.down || m.frozen || m.killed[instance] { // not by a timeout: go-redis waits for it with a mutex held
		return nil, errors.New("connection refused")
	}
	m.dialing.Lock()
	defer m.dialing.Unlock()
	c := &redisConn{model: m, instance: instance, answer: new(bytes.Buffer), store: m.store}
	c.buffer = bufio.NewWriter(c.answer)
	c.session = server.NewPeer(c.buffer)
	end, peer := m.net.connect(instance+"-redis", true, 1<<20, c.receive, func(error) { c.close() })
	c.peer, end.direct = peer, greet
	m.conns = append(m.conns, c)
	return end, nil
}

// greet answers what a client says first. It is answered at once, since go-redis waits for it with
// a mutex of its subscriptions held, and testing/synctest takes nobody who waits for a mutex to be
// at rest.
func greet(p []byte) (answer []byte) {
	for len(p) > 0 {
		args, n := parseCommand(p)
		if n == 0 {
			return nil
		}
		switch strings.ToUpper(args[0]) {
		case "HELLO":
			answer = append(answer, "-ERR unknown command\r\n"...)
		case "CLIENT", "SELECT":
			answer = append(answer, "+OK\r\n"...)
		default:
			return nil
		}
		p = p[n:]
	}
	return answer
}

func (c *redisConn) close() {
	c.gone, c.subscribed = true, nil
	c.model.conns = slices.DeleteFunc(c.model.conns, func(o *redisConn) bool { return o == c })
	c.peer.finish()
}

// receive takes what an instance wrote, and answers whole commands.
func (c *redisConn) receive(p []byte) {
	c.in = append(c.in, p...)
	for !c.gone {
		args, n := parseCommand(c.in)
		if n == 0 {
			return
		}
		c.in = c.in[n:]
		c.run(args)
	}
}

func (c *redisConn) run(args []string) {
	cmd := strings.ToUpper(args[0])
	switch cmd {
	case "SUBSCRIBE", "SSUBSCRIBE":
		for _, channel := range args[1:] {
			if !slices.Contains(c.subscribed, channel) {
				c.subscribed = append(c.subscribed, channel)
			}
			c.push(strings.ToLower(cmd), channel, len(c.subscribed))
		}
		return
	case "UNSUBSCRIBE", "SUNSUBSCRIBE":
		for _, channel := range args[1:] {
			c.subscribed = slices.DeleteFunc(c.subscribed, func(s string) bool { return s == channel })
			c.push(strings.ToLower(cmd), channel, len(c.subscribed))
		}
		return
	case "PING":
		if len(c.subscribed) > 0 {
			c.peer.send(bulks("pong", ""))
			return
		}
	}
	s := c.store
	switch cmd {
	case "SCRIPT":
		c.model.scripts = append(c.model.scripts, args)
	case "EVAL": // which keeps the script, too, whether or not it writes
		c.model.scripts = append(c.model.scripts, []string{"SCRIPT", "LOAD", args[1]})
	}
	s.mini.SetTime(time.Now().Add(c.model.skew))
	s.mini.Server().SetPreHook(c.model.hook(s))
	s.wrote = false
	s.mini.Server().Dispatch(c.session, args)
	_ = c.buffer.Flush() // to memory
	if s.wrote {
		s.writes = append(s.writes, write{time.Now().Add(c.model.skew), args})
	}
	c.peer.send(c.answer.Bytes())
	c.answer.Reset()
	c.model.publish(s)
}

// publish delivers what a command published to those that are connected to the same server.
func (m *redisModel) publish(s *store) {
	pubs := s.pubs
	s.pubs = nil
	for _, p := range pubs {
		for _, c := range slices.Clone(m.conns) {
			if c.store != s || !slices.Contains(c.subscribed, p.channel) {
				continue
			}
			if m.deaf && !strings.Contains(p.channel, ":echo:") {
				m.onLose(c, p.channel)
				continue
			}
			kind := "message"
			c.peer.send(bulks(kind, p.channel, p.payload))
			if m.twice {
				c.peer.send(bulks(kind, p.channel, p.payload))
			}
		}
	}
}

func (c *redisConn) push(kind, channel string, n int) {
	c.peer.send(fmt.Appendf(nil, "*3\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n:%d\r\n", len(kind), kind, len(channel), channel, n))
}

func bulks(texts ...string) []byte {
	p := fmt.Appendf(nil, "*%d\r\n", len(texts))
	for _, s := range texts {
		p = fmt.Appendf(p, "$%d\r\n%s\r\n", len(s), s)
	}
	return p
}

// parseCommand reads the command that p begins with: an array of bulk strings. n is 0 when it is
// not all there yet.
func parseCommand(p []byte) (args []string, n int) {
	line := func() (string, bool) {
		end := bytes.Index(p[n:], []byte("\r\n"))
		if end < 0 {
			return "", false
		}
		text := string(p[n : n+end])
		n += end + 2
		return text, true
	}
	head, ok := line()
	if !ok || head[0] != '*' {
		return nil, 0
	}
	count, _ := strconv.Atoi(head[1:])
	for range count {
		size, ok := line()
		if !ok {
			return nil, 0
		}
		length, _ := strconv.Atoi(size[1:])
		if len(p) < n+length+2 {
			return nil, 0
		}
		args = append(args, string(p[n:n+length]))
		n += length + 2
	}
	return args, n
}

// cutAll cuts the connections that f returns true for.
func (m *redisModel) cutAll(f func(*redisConn) bool) {
	for _, c := range slices.Clone(m.conns) {
		if f(c) {
			c.peer.cut()
		}
	}
}

// rebuild makes the store anew without its last writes, as a replica that lagged has them, or a
// server whose append-only file was not synced. The old one is left to those connected to it.
func (m *redisModel) rebuild(lose int) error {
	old := m.store
	s, err := newStore()
	if err != nil {
		return err
	}
	s.writes = slices.Clone(old.writes[:max(0, len(old.writes)-lose)])
	var sink bytes.Buffer
	w := bufio.NewWriter(&sink)
	session := server.NewPeer(w)
	for _, args := range m.scripts {
		s.mini.Server().Dispatch(session, args)
	}
	was := m.full
	m.full = false
	s.mini.Server().SetPreHook(m.hook(s))
	for _, one := range s.writes {
		s.mini.SetTime(one.at)
		sink.Reset()
		s.mini.Server().Dispatch(session, one.args)
		_ = w.Flush() // to memory
		if strings.HasPrefix(sink.String(), "-NOSCRIPT") {
			return fmt.Errorf("a write can't be repeated: %s", sink.String())
		}
	}
	m.full = was
	s.mini.Server().Dispatch(session, []string{"SCRIPT", "FLUSH"})
	s.pubs = nil
	old.stale = true
	m.store = s
	return nil
}

// freeze stops the server from answering, or lets it go on with what it was sent meanwhile.
func (m *redisModel) freeze(on bool) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	m.frozen = on
	for _, c := range m.conns {
		c.peer.out.held, c.peer.to.held = on, on
	}
}

func dialer(m *redisModel, instance string) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) { return m.dial(instance) }
}
