package instances

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/incidents"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// A notebook is written by one goroutine and read by another.
type notebook struct {
	mu    sync.Mutex
	lines []string
}

func (n *notebook) add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n *notebook) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.lines)
}

// unknown is the state of an instance that can't be asked.
const unknown = "unknown"

// A fakeGate notes what a drainer does with it.
type fakeGate struct {
	done    notebook
	forever bool // clients do not go
}

func (g *fakeGate) Drain(ctx context.Context) (moved, cut int) {
	g.done.add("drain")
	if g.forever {
		<-ctx.Done()
		g.done.add(ctx.Err().Error())
	}
	return 0, 0
}

func (g *fakeGate) Reopen() { g.done.add("reopen") }

// A bench is a drainer with what it works on.
type bench struct {
	*Drainer
	gate  *fakeGate
	other atomic.Value // the state of the other instance
	kinds notebook
}

func newBench() *bench {
	b := &bench{gate: &fakeGate{}}
	b.other.Store(cluster.Ready)
	b.Drainer = NewDrainer(DrainOptions{Gate: b.gate, Readiness: cluster.NewReadiness(func() error { return nil }),
		HasOther: func(context.Context) (has, known bool) {
			return b.other.Load() == cluster.Ready, b.other.Load() != unknown
		},
		Connections: func() int { return 47 }, Delay: 3 * time.Second, Timeout: 10 * time.Second,
		Record: func(i incidents.Incident) { b.kinds.add(i.Kind) }, Log: slog.New(slog.DiscardHandler)})
	return b
}

func (b *bench) state() string { return b.Readiness.Status().State }

func (b *bench) want(t *testing.T, when, state string, drained bool, done ...string) {
	t.Helper()
	synctest.Wait()
	if got := b.state(); got != state || (b.State() != nil) != drained || !slices.Equal(b.gate.done.all(), done) {
		t.Errorf("%s: it is %s, drained %t, and did %q; want %s, %t, %q", when, got, b.State() != nil, b.gate.done.all(), state, drained, done)
	}
}

// It is not ready at once, sends its clients away when load balancers had time to see that, stays
// so for as long as nobody says otherwise, and takes clients again when someone does.
func TestADrainedInstanceGoesOnRunningUntilItIsPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); b.Run(ctx) }()
		b.want(t, "in service", cluster.Ready, false)
		testkit.Must(t, b.Start(t.Context(), "ann"))
		b.want(t, "begun", cluster.Draining, true)
		if s := b.State(); s.By != "ann" || s.Connections != 47 || !s.Since.Equal(time.Now()) {
			t.Errorf("the state is %+v", s)
		}
		if reasons := b.Readiness.Status().Reasons(); !slices.Equal(reasons, []string{"this instance is drained by an operator"}) {
			t.Errorf("not ready because of %q", reasons)
		}
		time.Sleep(3 * time.Second)
		b.want(t, "after the delay", cluster.Draining, true, "drain")
		testkit.Must(t, b.Start(t.Context(), "bob")) // which is done once
		time.Sleep(time.Hour)
		b.want(t, "an hour later", cluster.Draining, true, "drain")
		testkit.Must(t, b.Cancel(t.Context()))
		b.want(t, "put back", cluster.Ready, false, "drain", "reopen")
		testkit.Must(t, b.Cancel(t.Context()))
		testkit.Must(t, b.Start(t.Context(), "ann"))
		time.Sleep(time.Second)
		testkit.Must(t, b.Cancel(t.Context()))
		b.want(t, "put back before anybody was sent away", cluster.Ready, false, "drain", "reopen", "reopen")
		if want := []string{"drain_begun", "drain_ended", "drain_begun", "drain_ended"}; !slices.Equal(b.kinds.all(), want) {
			t.Errorf("recorded %q, want %q", b.kinds.all(), want)
		}
		stop()
		<-ended
	})
}

// Who is put back while it sends its clients away stops that.
func TestADrainIsCancelledWhileClientsAreSentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.gate.forever = true
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); b.Run(ctx) }()
		testkit.Must(t, b.Start(t.Context(), "ann"))
		time.Sleep(5 * time.Second)
		testkit.Must(t, b.Cancel(t.Context()))
		b.want(t, "cancelled", cluster.Ready, false, "drain", "context canceled", "reopen")
		testkit.Must(t, b.Start(t.Context(), "ann"))
		time.Sleep(5 * time.Second)
		b.Readiness.Leave() // SIGTERM, which drains by itself
		stop()
		<-ended
		b.want(t, "shutting down", cluster.Draining, true, "drain", "context canceled", "reopen", "drain", "context canceled")
		if err := b.Cancel(t.Context()); !errors.Is(err, errLeaving) {
			t.Errorf("put back while it shuts down: %v", err)
		}
	})
}

// Clients always have an instance to go to, also where all are drained in the same second.
func TestTheLastReadyInstanceIsNotDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); b.Run(ctx) }()
		for _, state := range []string{cluster.NotReady, cluster.Draining, unknown} {
			b.other.Store(state)
			if err := b.Start(t.Context(), "ann"); !errors.Is(err, ErrNoOther) {
				t.Errorf("the other is %s: %v", state, err)
			}
		}
		b.want(t, "refused", cluster.Ready, false)
		b.other.Store(cluster.Ready)
		testkit.Must(t, b.Start(t.Context(), "ann"))
		b.other.Store(cluster.Draining) // somebody drains it at the same time
		time.Sleep(3 * time.Second)
		b.want(t, "after the delay", cluster.Ready, false, "reopen")
		b.other.Store(cluster.Ready)
		testkit.Must(t, b.Start(t.Context(), "ann"))
		b.other.Store(unknown) // Redis is away for a moment
		time.Sleep(3 * time.Second)
		b.want(t, "the other can't be asked", cluster.Draining, true, "reopen", "drain")
		testkit.Must(t, b.Cancel(t.Context()))
		b.Readiness.Leave()
		if err := b.Start(t.Context(), "ann"); !errors.Is(err, errLeaving) {
			t.Errorf("while it shuts down: %v", err)
		}
		stop()
		<-ended
	})
}

// What an instance takes is read once a second, whoever asks, and CPU is the mean between two
// readings.
func TestWhatAProcessTakesIsReadOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := 0
		m := &Meter{Started: time.Now().Add(-10 * time.Second), TCP: func() int { return 3 }, TCPLimit: 9, Read: func() metrics.ProcessUsage {
			times++
			return metrics.ProcessUsage{ResidentBytes: 1 << 20, CPU: time.Duration(times) * 5 * time.Second, Descriptors: 7, MaxDescriptors: 99}
		}}
		if u := m.Usage(); u.Cores != 0.5 || u.CoresOver != 10_000 || u.Descriptors != 7 || u.DescriptorLimit != 99 || u.TCP != 3 || u.TCPLimit != 9 ||
			u.MemoryBytes != 1<<20 || u.MemoryLimit != 0 {
			t.Errorf("at first: %+v", u)
		}
		time.Sleep(time.Second / 2)
		m.Usage()
		if time.Sleep(2 * time.Second); times != 1 {
			t.Errorf("read %d times in half a second", times)
		}
		if u := m.Usage(); u.Cores != 2 || u.CoresOver != 2500 {
			t.Errorf("then: %+v", u)
		}
	})
	if u := metrics.NewProcess().Usage(); u.ResidentBytes == 0 || u.CPU == 0 || u.Descriptors == 0 || u.MaxDescriptors < u.Descriptors {
		t.Errorf("this process takes %+v", u)
	}
}

// Instances that do not answer are listed with what they announced, those that are gone named, and
// of a name that several have none is found.
func TestTheListNamesWhoDoesNotAnswer(t *testing.T) {
	now := time.Now()
	view := cluster.View{
		Nodes: []cluster.Node{{ID: "1", Name: "a", Version: "v2", State: cluster.Ready, Connections: 5},
			{ID: "2", Name: "b", Version: "v1", State: cluster.NotReady, Reason: "i/o timeout", BrokerDownSince: now, Heard: now.Add(-1500 * time.Millisecond)}},
		Gone: []cluster.Gone{{ID: "3", Name: "c", Since: now, Last: &cluster.Node{Connections: 9}}, {ID: "4", Name: "d", Since: now}}}
	l := merge(view, []Info{{ID: "1", Node: "a", Version: "v2", Usage: &Usage{Descriptors: 7}}, {ID: "5", Node: "b", Version: "v2", Usage: &Usage{}}}, now)
	if len(l.Instances) != 3 || l.Instances[0].Usage == nil || l.Instances[1].Usage != nil || l.Instances[1].Broker.Up || l.Instances[1].HeardAgo != 1500 {
		t.Errorf("listed: %+v", l.Instances)
	}
	if len(l.Gone) != 2 || l.Gone[0].Connections != 9 || l.Gone[1].Connections != -1 || !slices.Equal(l.Versions, []string{"v1", "v2"}) {
		t.Errorf("gone: %+v, versions %q", l.Gone, l.Versions)
	}
	for give, want := range map[string]string{"a": "1", "1": "1", "5": "5", "b": "", "c": "", "": ""} {
		got := ""
		if found := l.Find(give); found != nil {
			got = found.ID
		}
		if got != want {
			t.Errorf("%q is the instance %q, want %q", give, got, want)
		}
	}
}
