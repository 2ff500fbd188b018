package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/zonecast/zonecast/backend/wire"
)

// A goldenFile is wire's testdata/golden.json, as far as the checks read it: data, and no code.
type goldenFile struct {
	Server []struct{ Name, Text string }
	Client []struct {
		Name, Text, Event string
		ID                *int64
	}
	Rooms, Cursors struct{ Invalid []string }

	forms map[string]*form // of the server's frames, by kind
}

// A form is what all golden frames of one kind have in common.
type form struct {
	fields  map[string]string // their JSON types, "" for any, by path: "time", "data.code"
	example string
}

var golden = sync.OnceValue(func() *goldenFile {
	g := &goldenFile{forms: map[string]*form{}}
	if err := json.Unmarshal(wire.Golden, g); err != nil {
		panic("golden.json: " + err.Error()) // it is part of the program
	}
	for _, one := range g.Server {
		f, err := parseFrame([]byte(one.Text))
		if err != nil {
			panic("golden.json: " + one.Name + ": " + err.Error())
		}
		fields := fieldsOf(f)
		known := g.forms[f.kind()]
		if known == nil {
			g.forms[f.kind()] = &form{fields, one.Text}
			continue
		}
		maps.DeleteFunc(known.fields, func(path, _ string) bool { _, there := fields[path]; return !there })
		for path, kind := range known.fields {
			if fields[path] != kind {
				known.fields[path] = ""
			}
		}
	}
	return g
})

// kind tells frames of different forms apart.
func (f *frame) kind() string {
	switch {
	case f.Retained:
		return "retained event"
	case f.isPublished():
		return "published event"
	}
	return f.Event
}

// fieldsOf returns the JSON types of the fields of a frame, and of its data's where the protocol
// says what that is.
func fieldsOf(f frame) map[string]string {
	fields := map[string]string{}
	add := func(prefix string, object json.RawMessage) {
		var members map[string]json.RawMessage
		_ = json.Unmarshal(object, &members) // nothing has no fields
		for name, value := range members {
			fields[prefix+name] = jsonType(value)
		}
	}
	add("", json.RawMessage(f.text))
	if f.isPublished() || f.Event == "ack" {
		fields["data"] = "" // any
	} else {
		add("data.", f.Data)
	}
	return fields
}

func jsonType(value json.RawMessage) string {
	switch value[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

// likeGolden reports what a frame lacks that all golden frames of its kind have. More fields are
// no mistake: the protocol grows.
func likeGolden(f frame) error {
	want := golden().forms[f.kind()]
	if want == nil {
		return fmt.Errorf("%.200s came, want one of the golden frames' events: %s", f.text,
			strings.Join(slices.Sorted(maps.Keys(golden().forms)), ", "))
	}
	got := fieldsOf(f)
	for _, path := range slices.Sorted(maps.Keys(want.fields)) {
		kind := want.fields[path]
		switch has, there := got[path]; {
		case !there:
			return fmt.Errorf("%.300s has no %q, want it as in the golden frame %s", f.text, path, want.example)
		case kind != "" && has != kind:
			return fmt.Errorf("%q of %.300s is of the type %s, want %s as in the golden frame %s", path, f.text, has, kind, want.example)
		}
	}
	return nil
}

// goldenForms makes the server send each kind of frame that a client can ask for.
func goldenForms(r *run) error {
	first, last, err := r.publishRetained()
	if err != nil {
		return err
	}
	s, err := r.join(r.inRoom())
	if err != nil {
		return err
	}
	if _, err := r.publishNumbered(2, 2); err != nil {
		return err
	}
	back, err := r.join(where{cursor: cursor{r.room: {last.epoch + "x", first.n}}})
	if err != nil {
		return err
	}
	for _, one := range []struct {
		session
		want string
	}{{s, "retained event"}, {s, "published event"}, {back, "gap"}} {
		f, err := one.next()
		if err != nil {
			return fmt.Errorf("waiting for a frame like the golden %s: %w", one.want, err)
		}
		if f.kind() != one.want {
			return fmt.Errorf("%.200s came, want a frame like the golden %s", f.text, golden().forms[one.want].example)
		}
		if err := likeGolden(f); err != nil {
			return err
		}
	}
	for _, text := range []string{`{"event":"echo","data":1,"id":1}`, `{"event":"nothing","id":2}`} {
		f, err := s.ask(text)
		if err == nil {
			err = likeGolden(f)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

// goldenRequests sends the golden frames of clients, in the check's own room. Subscriptions are
// chosen over WebSocket alone; an authentication may be refused, for its token is none.
func goldenRequests(r *run) error {
	s, err := r.join(where{})
	if err != nil {
		return err
	}
	names := strings.NewReplacer(`"warehouse":"warehouse-1"`, fmt.Sprintf(`"warehouse":%q`, r.Warehouse),
		`"zone":"zone-a"`, fmt.Sprintf(`"zone":%q`, r.zone), `"idempotencyKey":"`, `"idempotencyKey":"`+r.zone)
	for _, g := range golden().Client {
		if g.ID == nil || strings.HasSuffix(g.Event, "subscribe") && r.transport != WebSocket {
			continue // the one has no answer, the other no meaning
		}
		text := names.Replace(g.Text)
		sent, err := parseFrame([]byte(text))
		if err != nil {
			return err
		}
		f, err := s.ask(text)
		switch {
		case err != nil:
			return fmt.Errorf("the golden frame %q, %s: %w", g.Name, text, err)
		case f.ID == nil || *f.ID != *g.ID:
			return fmt.Errorf("the golden frame %q, %s, was answered with %.200s, want the id %d", g.Name, text, f.text, *g.ID)
		case f.Event != "ack" && g.Event != "authenticate":
			return fmt.Errorf("the golden frame %q, %s, was answered with %.200s, want an ack", g.Name, text, f.text)
		case g.Event == "echo" && string(f.Data) != string(sent.Data):
			return fmt.Errorf("the golden frame %q, %s, was answered with %.200s, want the same data", g.Name, text, f.text)
		}
		if err := likeGolden(f); err != nil {
			return err
		}
	}
	return nil
}

// goldenQueries are queries of a connection that golden.json says are invalid.
func goldenQueries() (all []string) {
	for _, room := range golden().Rooms.Invalid {
		if room != "" { // none
			all = append(all, "room="+url.QueryEscape(room))
		}
	}
	for _, c := range golden().Cursors.Invalid {
		all = append(all, "cursor="+url.QueryEscape(c))
	}
	return all
}
