package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A level is how well the system does, in one word.
type level string

const (
	levelOK       level = "ok"
	levelDegraded level = "degraded"
	levelDown     level = "down"
)

// A verdict is what an operator must know first: how it is, why, and since when.
type verdict struct {
	Level level
	Why   string // empty while it is OK
	Since time.Time
	// LostClients says that nobody is connected any more.
	LostClients bool
}

// page is where more is told about it.
func (v verdict) page() pageLink {
	if v.LostClients {
		return pageLink{ClosedPath, "Why they left"}
	}
	return pageLink{LogPath, "What happened"}
}

// A busy is when clients were connected last, and how many in the minutes before.
type busy struct {
	Until       time.Time // zero: never, as far as this instance knows
	Connections int
}

// judge says how the system of a snapshot is, and why.
func judge(s Snapshot, last busy) (level, string) {
	down := slices.DeleteFunc(slices.Clone(s.Instances), func(i Instance) bool { return i.Broker.Up })
	switch {
	case len(s.Instances) > 0 && len(down) == len(s.Instances):
		return levelDown, "the broker (" + s.Broker + ") can't be reached"
	case lostClients(s, last):
		return levelDown, fmt.Sprintf("no client is connected; %s until %s", was(last.Connections), clock(last.Until))
	case len(down) > 0:
		return levelDegraded, fmt.Sprintf("%s can't reach the broker", instanceNames(down))
	case len(s.Gone) > 0:
		names := make([]string, len(s.Gone))
		for i, g := range s.Gone {
			names[i] = g.Name
		}
		return levelDegraded, fewOf(names) + " " + verb(len(names), "does", "do") + " not answer"
	case len(s.Missing) > 0:
		return levelDegraded, fewOf(s.Missing) + " " + verb(len(s.Missing), "does", "do") + " not answer"
	}
	for _, i := range s.Instances {
		if i.Warning != "" {
			warning, _, _ := strings.Cut(strings.TrimPrefix(i.Warning, "broker: "), ": ")
			return levelDegraded, warning
		}
	}
	notReady := slices.DeleteFunc(slices.Clone(s.Instances), func(i Instance) bool { return i.State != NotReady })
	if len(notReady) > 0 {
		return levelDegraded, instanceNames(notReady) + " " + verb(len(notReady), "is", "are") + " not ready"
	}
	return levelOK, ""
}

// lostClients reports whether all clients are gone.
func lostClients(s Snapshot, last busy) bool { return s.Connections == 0 && !last.Until.IsZero() }

func was(n int) string {
	if n == 1 {
		return "1 was"
	}
	return grouped(int64(n)) + " were"
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func instanceNames(list []Instance) string {
	names := make([]string, len(list))
	for i, inst := range list {
		names[i] = inst.Name
	}
	return fewOf(names)
}

// fewOf names the first three.
func fewOf(names []string) string {
	const few = 3
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}

// verdictWord is the verdict in one word for the page.
func (v verdict) word() string {
	switch v.Level {
	case levelDown:
		return "Down"
	case levelDegraded:
		return "Degraded"
	}
	return "OK"
}

func (v verdict) sinceText() string { return "since " + clock(v.Since) }
