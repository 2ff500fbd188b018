package instances

import (
	"context"
	"slices"
	"time"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
)

// The questions that instances put to one another.
const (
	kindInfo  = "instance"
	kindDrain = "drain instance"
)

// An order is what is wanted of one instance.
type order struct {
	ID     string `json:"id"`
	Cancel bool   `json:"cancel,omitempty"`
	By     string `json:"by,omitempty"`
}

// A result is what became of it; of other instances it is empty.
type result struct {
	Info *Info `json:"info,omitempty"`
	// Refused says why it was not done.
	Refused string `json:"refused,omitempty"`
}

// A Handler answers for this instance. Its Answer is a [cluster.Answerer].
type Handler struct {
	Self    func() cluster.Node // as it is announced
	Status  func() cluster.Status
	Limit   int // MAX_CONNECTIONS; 0 for none
	Meter   *Meter
	Drainer *Drainer
	Next    cluster.Answerer // of other questions
}

// Answer implements [cluster.Answerer].
func (h *Handler) Answer(ctx context.Context, q cluster.Question) (any, error) {
	switch q.Kind {
	case kindInfo:
		return h.info(), nil
	case kindDrain:
		wanted, err := cluster.Asked[order](q)
		if err != nil {
			return nil, err
		}
		return h.do(ctx, wanted), nil
	}
	return h.Next(ctx, q)
}

func (h *Handler) info() Info {
	i, status := known(h.Self(), time.Now()), h.Status()
	if i.Broker.Up {
		i.Broker.Since = status.BrokerUpSince
	}
	i.ConnectionLimit, i.Usage, i.Drain = h.Limit, h.Meter.Usage(), h.Drainer.State()
	return i
}

func (h *Handler) do(ctx context.Context, wanted order) (r result) {
	if self := h.Self(); known(self, time.Time{}).ID != wanted.ID {
		return r
	}
	err := error(nil)
	if wanted.Cancel {
		err = h.Drainer.Cancel(ctx)
	} else {
		err = h.Drainer.Start(ctx, wanted.By)
	}
	if err != nil {
		r.Refused = err.Error()
	}
	info := h.info()
	r.Info = &info
	return r
}

// A Client asks all instances.
type Client struct{ Cluster cluster.Cluster }

// List returns all instances. Those that did not answer have no Usage.
func (c Client) List(ctx context.Context) (List, error) {
	infos, fanOut, err := connadmin.Ask[Info](ctx, c.Cluster, kindInfo, struct{}{})
	l := merge(c.Cluster.View(), infos, time.Now())
	l.FanOut = fanOut
	return l, err
}

// Find returns the instance of an ID or a name; nil for none. The name of several is nobody's.
func (l List) Find(idOrName string) *Info {
	if at := slices.IndexFunc(l.Instances, func(i Info) bool { return i.ID == idOrName }); at >= 0 {
		return &l.Instances[at]
	}
	var found *Info
	for at := range l.Instances {
		if l.Instances[at].Node == idOrName {
			if found != nil {
				return nil
			}
			found = &l.Instances[at]
		}
	}
	return found
}

// otherTimeout is how long [Client.HasOther] waits: less than who asks for a drain.
const otherTimeout = 800 * time.Millisecond

// HasOther reports whether an instance other than that of an ID takes clients, and whether all have
// answered. Of one that does not answer, as older versions do not, it is what it announced.
func (c Client) HasOther(ctx context.Context, id string) (has, known bool) {
	ctx, cancel := context.WithTimeout(ctx, otherTimeout)
	defer cancel()
	l, err := c.List(ctx)
	has = err == nil && slices.ContainsFunc(l.Instances, func(i Info) bool { return i.ID != id && i.State == cluster.Ready })
	return has, err == nil && l.Complete
}

// Known returns what instances announced, without asking them anything.
func (c Client) Known() List { return merge(c.Cluster.View(), nil, time.Now()) }

// Drain takes the instance of an ID out of service, or puts it back with cancel. Refused says why
// it was not done. Without an Info it has not answered.
func (c Client) Drain(ctx context.Context, id string, cancel bool, by string) (done *Info, refused string, _ error) {
	results, _, err := connadmin.Ask[result](ctx, c.Cluster, kindDrain, order{id, cancel, by})
	for _, r := range results {
		if r.Info != nil {
			return r.Info, r.Refused, err
		}
	}
	return nil, "", err
}
