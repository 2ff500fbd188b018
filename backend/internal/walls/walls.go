// Package walls knows which wall screens there are and since when one is dark, and tells a screen
// what an operator wants of it.
//
//	screen ── api, each 15 s ──▶ Registry of whatever instance it reaches
//	operator ── api, dashboard ──▶ Client ── cluster.Ask ──▶ Handler of every instance ──▶ its Registry
//	                                                           └──▶ the session of the screen ──▶ EventScreen
//
// An instance remembers what it was told itself, in memory: what the instances know together is
// known until the last of them has been started anew, and is told again by each screen that is not
// dark.
package walls

import (
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// DarkAfter is how long a screen may be silent, which is told each 15 s: as long as three
	// times.
	DarkAfter = 45 * time.Second
	// Kept is how many screens an instance remembers; that which was silent for longest gives way.
	Kept = 2000
	// maxText is the most characters of what a screen says of itself.
	maxText = 64
)

// A Wall is one screen.
type Wall struct {
	// ID is made by the browser, which keeps it.
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// What it shows: a zone, or without one the warehouse, by the wall of this name in its layout.
	Warehouse string `json:"warehouse"`
	Zone      string `json:"zone,omitempty"`
	Layout    string `json:"wall,omitempty"`
	Build     string `json:"build"`      // of the page
	Loaded    int64  `json:"loadedAt"`   // when the page was loaded, ms since 1970
	Seen      int64  `json:"lastSeenAt"` // by an instance, ms since 1970
	Dark      bool   `json:"dark"`       // not heard of for DarkAfter
	Address   string `json:"address,omitempty"`
	Node      string `json:"node"` // that it told last
	// Connection is what it gets events by; empty while it has none.
	Connection string `json:"connectionId,omitempty"`
	// TokenID is that of the token which the screen was given when it was paired; empty for
	// another.
	TokenID string `json:"tokenId,omitempty"`
}

// idShape is what browsers make as an ID: a random UUID.
var idShape = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// buildShape is that of a version of the page.
var buildShape = regexp.MustCompile(`^[0-9A-Za-z.+-]{0,64}$`)

// Check reports what is wrong with what a screen says of itself. The error is an *[wire.Error].
func (w Wall) Check() error {
	if !idShape.MatchString(w.ID) {
		return wire.Errorf(wire.CodeInvalidData, "id is %.40q: give a random UUID in small letters", w.ID)
	}
	if !buildShape.MatchString(w.Build) {
		return wire.Errorf(wire.CodeInvalidData, "build is %.80q: give the data-build of the page", w.Build)
	}
	for field, text := range map[string]string{"name": w.Name, "wall": w.Layout, "connectionId": w.Connection} {
		if utf8.RuneCountInString(text) > maxText || strings.ContainsFunc(text, unicode.IsControl) {
			return wire.Errorf(wire.CodeInvalidData, "%s is %.80q: at most %d characters are allowed, and none that control", field, text, maxText)
		}
	}
	return nil
}

// A Registry is the screens that checked in at one instance.
type Registry struct {
	mu        sync.Mutex
	walls     *simplelru.LRU[string, Wall] // by ID, the last that was silent first
	forgotten int                          // screens that gave way
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	walls, _ := simplelru.NewLRU[string, Wall](Kept, nil) // of a size that is one
	return &Registry{walls: walls}
}

// CheckIn remembers a screen as it is now.
func (r *Registry) CheckIn(w Wall) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.walls.Add(w.ID, w) {
		r.forgotten++
	}
}

// list returns the screens of these warehouses, or of all, and how many gave way.
func (r *Registry) list(wanted Query) Page {
	r.mu.Lock()
	defer r.mu.Unlock()
	page := Page{Walls: []Wall{}, Forgotten: r.forgotten}
	for _, w := range r.walls.Values() {
		if wanted.matches(w) {
			page.Walls = append(page.Walls, w)
		}
	}
	return page
}
