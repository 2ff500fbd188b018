package dashboard

import "time"

// A layout is what is around a page.
type layout struct {
	Path  string // of the page, which is one of Pages or below one of them
	Title string // where it is none of Pages
	Pages []pageLink
	// Skip is the id of what the first link leads to, SkipText what it is.
	Skip, SkipText string
	// Stream is the address of the page's event stream; empty for a page that stands still. Self is
	// that of the page as the viewer chose it.
	Stream, Self string
	Viewer       Viewer
	// Script is one more, of a page that has a stream.
	Script string
}

// A pageLink leads to a page.
type pageLink struct{ Path, Name string }

// The paths of the pages.
const (
	ClientsPath = Prefix + "clients"
	ClientPath  = Prefix + "clients/" // and the connection's ID
	ClosedPath  = Prefix + "closed"
	LogPath     = Prefix + "log" // the events
	// DisconnectPath asks whether clients are to be disconnected; what it posts to itself is for
	// whoever mounts the dashboard to serve, and leads back to ClientsPath.
	DisconnectPath = Prefix + "disconnect"
)

// pages are those that the navigation names. Sources that are missing have none.
func (s *Sources) pages() []pageLink {
	all := []pageLink{{Prefix, "Overview"}}
	if s.Clients != nil {
		all = append(all, pageLink{ClientsPath, "Clients"})
	}
	if s.Closed != nil {
		all = append(all, pageLink{ClosedPath, "Closed lately"})
	}
	if s.Events != nil {
		all = append(all, pageLink{LogPath, "Events"})
	}
	if s.Past != nil {
		all = append(all, pageLink{PastPath, "Past"})
	}
	if s.Instances != nil {
		all = append(all, pageLink{InstancesPath, "Instances"})
	}
	if s.Screens != nil {
		all = append(all, pageLink{ScreensPath, "Fleet"})
	}
	return append(all, pageLink{"/screen/", "Wall screens"}, pageLink{AuditPath, "Audit log"})
}

// name is the page's heading.
func (l layout) name() string {
	if l.Title != "" {
		return l.Title
	}
	for _, p := range l.Pages {
		if p.Path == l.Path {
			return p.Name
		}
	}
	return "Zonecast"
}

func (l layout) title() string {
	if l.Path == Prefix {
		return "Zonecast"
	}
	return l.name() + " · Zonecast"
}

// moment writes a time with its date.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// machine writes a time for programs.
func machine(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
