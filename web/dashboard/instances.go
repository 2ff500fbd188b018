package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The paths of the pages of instances. DrainPath asks whether one is to be drained; what it posts
// to itself, the fields of a [DrainOrder], is for whoever mounts the dashboard to serve, and leads
// to [InstanceAddress].
const (
	InstancesPath = Prefix + "instances"
	InstancePath  = Prefix + "instances/" // and the name, or the ID
	DrainPath     = Prefix + "drain"
)

// An InstancePage has all instances.
type InstancePage struct {
	FanOut
	Broker    string // its kind
	Instances []InstanceDetail
	Gone      []Gone
}

// An InstanceDetail is an instance with what its process takes.
type InstanceDetail struct {
	Instance
	BrokerSince     time.Time // that it is as it is; zero when that is not known
	ConnectionLimit int       // 0 for none
	HeardAgo        time.Duration
	// Answered says that Usage is known.
	Answered bool
	Usage    Usage
	Drain    *Drain // nil while it is in service, or shutting down
}

// A Usage is what a process takes of its machine. What is not known is 0.
type Usage struct {
	TCP, TCPLimit                int
	Memory, MemoryLimit          uint64 // bytes
	Descriptors, DescriptorLimit int
	Cores                        float64 // mean of CoresOver
	CoresOver                    time.Duration
	CoreLimit, Goroutines        int
}

// A Drain is how far an instance is that an operator takes out of service.
type Drain struct {
	Since time.Time
	By    string // may be empty
	Had   int    // clients, when it began
}

// A DrainOrder is what an operator wants of an instance.
type DrainOrder struct {
	ID, Reason string
	End        bool // put it back into service
}

// ParseDrain reads what the form posts.
func ParseDrain(form url.Values) DrainOrder {
	return DrainOrder{parameter(form, "id"), parameter(form, "reason"), form.Get("do") == "end"}
}

// InstanceAddress is the page of an instance.
func InstanceAddress(name string) string { return InstancePath + url.PathEscape(name) }

func (i Instance) address() string { return InstanceAddress(i.Name) }

// drainAddress asks whether it is to be drained, or put back into service.
func (i InstanceDetail) drainAddress() string {
	values := url.Values{"instance": {i.Name}}
	if i.Drain != nil {
		values.Set("end", "1")
	}
	return withQuery(DrainPath, values)
}

// of writes how much is used of a limit.
func of(used, limit int) string {
	if limit <= 0 {
		return grouped(int64(used))
	}
	return grouped(int64(used)) + " of " + grouped(int64(limit))
}

// nearly reports whether more than nine tenths of a limit are used.
func nearly(used, limit int) bool { return limit > 0 && used*10 > limit*9 }

func (u Usage) memoryText() string {
	if u.MemoryLimit == 0 {
		return size(int64(u.Memory))
	}
	return size(int64(u.Memory)) + " of " + size(int64(u.MemoryLimit))
}

func (u Usage) coresText() string { return fmt.Sprintf("%.2f of %d cores", u.Cores, u.CoreLimit) }

// heardText is the age of its last announcement.
func (i InstanceDetail) heardText() string {
	if i.HeardAgo == 0 {
		return "this one answers"
	}
	return fmt.Sprintf("%.1f s ago", i.HeardAgo.Seconds())
}

// brokerSinceText says since when it stands with the broker as it does.
func (i InstanceDetail) brokerSinceText(now time.Time) string {
	if i.BrokerSince.IsZero() {
		return ""
	}
	return "for " + span(now.Sub(i.BrokerSince))
}

// drainText says how far it is.
func (i InstanceDetail) drainText(now time.Time) string {
	text := plural(i.Connections, "client") + " of " + grouped(int64(i.Drain.Had)) + " left"
	if i.Connections == 0 {
		text = "nobody is left"
	}
	return text + ", for " + span(now.Sub(i.Drain.Since))
}

// An instancesView is the page of all instances, or of one.
type instancesView struct {
	InstancePage
	name    string // of the one
	viewer  Viewer
	pages   []pageLink
	verdict verdict
	now     time.Time
	problem string
	refusal string // of a question: why it can't be done
	end     bool   // of a question: whether it is to be put back
}

func (d *Dashboard) addInstances() {
	if d.opts.Instances == nil {
		return
	}
	d.mux.HandleFunc("GET "+InstancesPath, func(w http.ResponseWriter, r *http.Request) {
		v := d.instancesView(r.Context(), r)
		d.write(w, r, statusOf(v.problem), instancesPage(v))
	})
	d.mux.HandleFunc("GET "+InstancesPath+"/events", func(w http.ResponseWriter, r *http.Request) {
		d.streamInstances(w, r, func(v instancesView) section { return section{"nodes", instanceTable(v)} })
	})
	d.mux.HandleFunc("GET "+InstancePath+"{name}", func(w http.ResponseWriter, r *http.Request) {
		v := d.instancesView(r.Context(), r)
		status := statusOf(v.problem)
		if v.problem == "" && v.one() == nil {
			status = http.StatusNotFound
		}
		d.write(w, r, status, instancePage(v))
	})
	d.mux.HandleFunc("GET "+InstancePath+"{name}/events", func(w http.ResponseWriter, r *http.Request) {
		d.streamInstances(w, r, func(v instancesView) section { return section{"instance", instanceFacts(v)} })
	})
	d.mux.HandleFunc("GET "+DrainPath, d.serveDrain)
}

func (d *Dashboard) streamInstances(w http.ResponseWriter, r *http.Request, content func(instancesView) section) {
	d.stream(w, r, d.feedKey(r), func(ctx context.Context) ([]section, <-chan struct{}) {
		next := tick()
		v := d.instancesView(ctx, r)
		return []section{{"asof", asOf(v.now, uint64(v.now.UnixMilli()))}, {"verdict", verdictLine(v.verdict)},
			{"partial", partialNotice(v.FanOut, v.problem)}, {"versions", versionsNotice(v)}, content(v)}, next
	})
}

func (d *Dashboard) instancesView(ctx context.Context, r *http.Request) instancesView {
	v := instancesView{name: r.PathValue("name"), viewer: d.opts.Viewer(r), pages: d.opts.pages(), verdict: d.latest.Load().verdict, now: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var err error
	if v.InstancePage, err = d.opts.Instances(ctx); err != nil {
		v.problem = err.Error()
	}
	slices.SortStableFunc(v.Instances, func(a, b InstanceDetail) int { return natural(a.Name, b.Name) })
	slices.SortStableFunc(v.Gone, func(a, b Gone) int { return natural(a.Name, b.Name) })
	return v
}

func (d *Dashboard) serveDrain(w http.ResponseWriter, r *http.Request) {
	v := d.instancesView(r.Context(), r)
	v.name, v.end = parameter(r.URL.Query(), "instance"), r.URL.Query().Get("end") != ""
	status := http.StatusOK
	one := v.one()
	switch {
	case !v.viewer.CanDismiss:
		v.refusal, status = "Your role only lets you look. Ask an operator of all warehouses, or sign in as one.", http.StatusForbidden
	case v.problem != "":
		v.refusal, status = v.problem, http.StatusServiceUnavailable
	case one == nil:
		v.refusal, status = "There is no instance of this name that answers.", http.StatusNotFound
	case v.end && one.Drain == nil:
		v.refusal = "It is not drained by an operator."
	case !v.end && one.State == Draining:
		v.refusal = "It is draining already."
	case !v.end && len(v.others()) == 0:
		v.refusal, status = "No other instance is ready: its clients would have nowhere to go.", http.StatusConflict
	}
	d.write(w, r, status, drainPage(v))
}

// one is the instance that the page is of: by its name, or its ID where several have it.
func (v instancesView) one() *InstanceDetail {
	is := func(i InstanceDetail) bool { return i.Name == v.name || i.ID == v.name }
	at := slices.IndexFunc(v.Instances, is)
	if at < 0 {
		return nil
	}
	return &v.Instances[at]
}

// goneOne is it, if it is gone.
func (v instancesView) goneOne() *Gone {
	at := slices.IndexFunc(v.Gone, func(g Gone) bool { return g.Name == v.name || g.ID == v.name })
	if at < 0 {
		return nil
	}
	return &v.Gone[at]
}

// others are the names of those that would take its clients.
func (v instancesView) others() (names []string) {
	one := v.one()
	for _, i := range v.Instances {
		if i.State == Ready && (one == nil || i.ID != one.ID) {
			names = append(names, i.Name)
		}
	}
	return names
}

func (v instancesView) othersText() string { return fewOf(v.others()) }

func (v instancesView) versionsText() string {
	all := make([]Instance, len(v.Instances))
	for i, inst := range v.Instances {
		all[i] = inst.Instance
	}
	return versionsOf(all)
}

func (v instancesView) countText() string {
	if len(v.Gone) == 0 {
		return plural(len(v.Instances), "instance")
	}
	return fmt.Sprintf("%s, %d gone", plural(len(v.Instances), "instance"), len(v.Gone))
}

func (v instancesView) title() string { return cmp.Or(v.name, "no name") }

func (v instancesView) layout() layout {
	l := layout{Path: InstancesPath, Pages: v.pages, Skip: "nodes", SkipText: "the instances", Stream: InstancesPath + "/events",
		Self: InstancesPath, Viewer: v.viewer}
	if v.name == "" {
		return l
	}
	l.Title, l.Skip, l.SkipText, l.Self = "Instance "+strings.TrimSpace(v.name), "instance", "the instance", InstanceAddress(v.name)
	if l.Stream = l.Self + "/events"; v.one() == nil {
		l.Stream = ""
	}
	return l
}

// questionLayout is what is around a question about it.
func (v instancesView) questionLayout() layout {
	l := v.layout()
	l.Skip, l.SkipText, l.Stream = "confirm", "the question", ""
	return l
}
