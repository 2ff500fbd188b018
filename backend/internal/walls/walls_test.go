package walls

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// instances is a cluster of these, and maybe of one that is silent.
type instances struct {
	cluster.Cluster
	all    []*Handler
	silent []string
}

func (i instances) Ask(ctx context.Context, q cluster.Question) (answers cluster.Answers) {
	for n, h := range i.all {
		one, err := h.Answer(ctx, q)
		if err != nil {
			answers.Missing = append(answers.Missing, err.Error())
			continue
		}
		data, _ := json.Marshal(one)
		answers.All = append(answers.All, cluster.Answer{Node: fmt.Sprint("n", n), Data: data})
	}
	answers.Missing = append(answers.Missing, i.silent...)
	answers.Asked = len(answers.All) + len(answers.Missing)
	return answers
}

func newInstances(n int) (i instances) {
	for range n {
		i.all = append(i.all, &Handler{Registry: NewRegistry(), Sessions: func() []*hub.Session { return nil },
			Next: func(context.Context, cluster.Question) (any, error) { return nil, errors.New("not known") }})
	}
	return i
}

func idOf(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", n) }

// A screen checks in wherever the load balancer sends it: what it said last counts, and it is dark
// when no instance has heard of it for 45 s.
func TestAScreenIsDarkWhenNoInstanceHearsOfIt(t *testing.T) {
	two := newInstances(2)
	now := time.Now()
	at := func(ago time.Duration) int64 { return now.Add(-ago).UnixMilli() }
	for _, w := range []struct {
		instance int
		Wall
	}{
		{0, Wall{ID: idOf(1), Warehouse: "w", Zone: "old", Seen: at(time.Hour)}},
		{1, Wall{ID: idOf(1), Warehouse: "w", Zone: "new", Seen: at(time.Second)}},
		{0, Wall{ID: idOf(2), Warehouse: "w", Zone: "a", Seen: at(46 * time.Second)}},
		{1, Wall{ID: idOf(2), Warehouse: "w", Zone: "a", Seen: at(time.Minute)}},
		{1, Wall{ID: idOf(3), Warehouse: "v", Seen: at(44 * time.Second)}},
	} {
		two.all[w.instance].Registry.CheckIn(w.Wall)
	}
	for _, tt := range []struct {
		give Query
		want string
	}{
		{Query{}, "2 w/a dark, 3 v/ on, 1 w/new on"},
		{Query{Within: []string{"w"}}, "2 w/a dark, 1 w/new on"},
		{Query{ID: idOf(3)}, "3 v/ on"},
		{Query{ID: idOf(3), Within: []string{"w"}}, ""},
	} {
		page, fanOut, err := Client{two}.List(t.Context(), tt.give)
		testkit.Must(t, err)
		var got []string
		for _, w := range page.Walls {
			got = append(got, fmt.Sprintf("%s %s/%s %s", strings.TrimLeft(w.ID[:8], "0"), w.Warehouse, w.Zone, map[bool]string{true: "dark", false: "on"}[w.Dark]))
		}
		if text := strings.Join(got, ", "); text != tt.want || !fanOut.Complete {
			t.Errorf("%+v lists %q, want %q", tt.give, text, tt.want)
		}
	}
}

// However many screens somebody invents, an instance keeps 2000, and says that others gave way.
func TestKnownScreensAreBounded(t *testing.T) {
	one := newInstances(1)
	for n := range Kept + 3 {
		one.all[0].Registry.CheckIn(Wall{ID: idOf(n), Warehouse: "w", Seen: time.Now().UnixMilli()})
		one.all[0].Registry.CheckIn(Wall{ID: idOf(0), Warehouse: "w", Seen: time.Now().UnixMilli()}) // which goes on checking in
	}
	page, _, err := Client{one}.List(t.Context(), Query{})
	testkit.Must(t, err)
	if len(page.Walls) != Kept || page.Forgotten != 3 || page.Walls[0].ID != idOf(0) {
		t.Errorf("%d are known, %d are not, the first is %s", len(page.Walls), page.Forgotten, page.Walls[0].ID)
	}
}

// A screen that an instance may know which does not answer is not called unknown.
func TestAScreenIsNotUnknownWhileAnInstanceIsSilent(t *testing.T) {
	one := newInstances(1)
	if w, err := (Client{one}).Find(t.Context(), Query{ID: idOf(1)}); w != nil || err != nil {
		t.Errorf("found %v, %v", w, err)
	}
	one.silent = []string{"n1"}
	if _, err := (Client{one}).Find(t.Context(), Query{ID: idOf(1)}); err == nil {
		t.Error("it is called unknown")
	}
	if _, err := (Client{one}).Tell(t.Context(), Wall{Connection: "c"}, Command{Do: Reload}); err == nil {
		t.Error("it is called unconnected")
	}
}

func TestCommandsSayWhatIsWrongWithThem(t *testing.T) {
	for _, tt := range []struct{ do, show, want string }{
		{"identify", "", "{identify   }"},
		{"reload", "ignored", "{reload   }"},
		{"show", "w", "{show w  }"},
		{"show", " w/a ", "{show w a }"},
		{"show", "w?wall=dock", "{show w  dock}"},
		{"show", "w?wall=" + strings.Repeat("x", 65), "show is"},
		{"show", "", "warehouse"},
		{"show", "w/", "show is"},
		{"show", "w/a?wall=dock", "show is"},
		{"show", "w/a/b", "zone"},
		{"show", "w?lang=de", "show is"},
		{"show", "//evil.example", "warehouse"},
		{"show", "javascript:alert(1)", "warehouse"},
		{"", "", "say identify, reload, show or unpair"},
		{"burn", "", "say identify, reload, show or unpair"},
	} {
		c, err := ParseCommand(tt.do, tt.show)
		got := fmt.Sprint(c)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s %q: %s, want %s", tt.do, tt.show, got, tt.want)
		}
	}
}

func TestScreensSayNothingStrangeOfThemselves(t *testing.T) {
	good := Wall{ID: idOf(1), Name: "Dock 3 ö", Build: "0a1b2c"}
	for _, tt := range []struct {
		change func(*Wall)
		want   string
	}{
		{func(*Wall) {}, ""},
		{func(w *Wall) { w.ID = "1" }, "id is"},
		{func(w *Wall) { w.ID = strings.ToUpper("aaaaaaaa-0000-4000-8000-000000000000") }, "id is"},
		{func(w *Wall) { w.Name = strings.Repeat("ö", 65) }, "name is"},
		{func(w *Wall) { w.Name = "a\x1b[2J" }, "name is"},
		{func(w *Wall) { w.Layout = strings.Repeat("x", 65) }, "wall is"},
		{func(w *Wall) { w.Connection = strings.Repeat("x", 65) }, "connectionId is"},
		{func(w *Wall) { w.Build = "<b>" }, "build is"},
	} {
		w := good
		tt.change(&w)
		if err := w.Check(); (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", w, err, tt.want)
		}
	}
}
