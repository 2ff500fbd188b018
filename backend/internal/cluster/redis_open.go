package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/wire"
)

// What comes from Redis is verified and checked here: it goes to operators, and tells instances to
// end connections.

const (
	// maxNodes is how many other instances are known at most.
	maxNodes = 1024
	// Most bytes of each. An answer lists up to 1,000 connections with 128 rooms each.
	maxAnnouncement, maxQuestion, maxAnswer = 128 << 10, 64 << 10, 32 << 20
	// maxText bounds the bytes of names, states and reasons.
	maxText = 1024
)

// errRefused stands for an answer that was refused; others may come.
var errRefused = errors.New("cluster: answer refused")

// refuse counts what is not believed, and logs it at most once a second: a stranger decides how
// often.
func (c *Redis) refuse(kind bus.Kind, err error) {
	reason := bus.Malformed
	errors.As(err, &reason)
	if c.onRefuse != nil {
		c.onRefuse(kind, reason)
	}
	if last, now := c.lastWarned.Load(), time.Now().Unix(); now > last && c.lastWarned.CompareAndSwap(last, now) {
		c.log.Warn("refused what came from Redis", "kind", kind, "error", err)
	}
}

// open verifies and decodes JSON.
func (c *Redis) open(kind bus.Kind, subject, sealed string, most int, into any) error {
	payload, err := c.signer.Open(kind, subject, sealed, most)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(payload), into)
}

func (c *Redis) openAnnouncement(sealed string) (n Node, _ error) {
	if err := c.open(bus.Announcement, "", sealed, maxAnnouncement, &n); err != nil {
		return Node{}, err
	}
	return n, n.check()
}

func (c *Redis) openQuestion(sealed string) (e envelope, _ error) {
	if err := c.open(bus.Question, "", sealed, maxQuestion, &e); err != nil {
		return envelope{}, err
	}
	// Its ID becomes part of a key.
	if !plain(e.ID) || !plain(e.From) || !text(e.Kind) {
		return envelope{}, errors.New("a question has an ID, and says who asks what")
	}
	return e, nil
}

func (c *Redis) openAnswer(question, sealed string) (e answerEnvelope, _ error) {
	if err := c.open(bus.Answer, question, sealed, maxAnswer, &e); err != nil {
		return answerEnvelope{}, err
	}
	if !plain(e.ID) || !text(e.Node) || !text(e.Error) {
		return answerEnvelope{}, errors.New("an answer says who gives it")
	}
	return e, nil
}

func (c *Redis) openOverload(sealed string) (id string, room wire.Room, err error) {
	payload, err := c.signer.Open(bus.Overload, "", sealed, maxText)
	if err != nil {
		return "", wire.Room{}, err
	}
	id, name, _ := strings.Cut(payload, " ")
	room, err = wire.ParseRoom(name)
	return id, room, err
}

// check reports what no instance would say about itself.
func (n *Node) check() error {
	switch {
	case !plain(n.ID) || !text(n.Name) || !text(n.Version) || !text(n.Reason) || !text(n.Warning):
		return errors.New("a node has an ID, and names of printable length")
	case n.State != Ready && n.State != NotReady && n.State != Draining:
		return fmt.Errorf("%.40q is no state of a node", n.State)
	case n.Connections < 0 || n.Lived < 0 || n.QueueBytes < 0 || len(n.Latency.Counts) != len(n.Latency.Bounds):
		return errors.New("figures are negative, or do not fit")
	}
	for transport, count := range n.Transports {
		if !plain(transport) || count < 0 {
			return fmt.Errorf("no count of a transport: %d by %.80q", count, transport)
		}
	}
	for _, u := range n.Unreadable {
		if err := u.check(); err != nil {
			return err
		}
	}
	return errors.Join(n.Rooms.check(), Rooms{Zones: n.RecentZones}.check())
}

// check reports what are no counts of rooms.
func (r Rooms) check() error {
	for _, z := range r.Zones {
		if _, err := wire.NewRoom(z.Warehouse, z.Zone); err != nil || z.Connections < 0 {
			return fmt.Errorf("no count of a zone: %d in %.80q (%w)", z.Connections, z.Zone, err)
		}
	}
	for warehouse, count := range r.Warehouses {
		if _, err := wire.NewRoom(warehouse, ""); err != nil || count < 0 {
			return fmt.Errorf("no count of a warehouse: %d in %.80q (%w)", count, warehouse, err)
		}
	}
	return nil
}

// plain reports whether s is an identifier: up to 64 letters and digits.
func plain(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

func text(s string) bool { return len(s) <= maxText && utf8.ValidString(s) }
