//go:build linux

package worker

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

// serve executes commands as they come from another process, one after the other.
func serve(t *testing.T, commands ...string) (replies []Reply) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nothing is sent anywhere
	var w *Worker
	for _, text := range commands {
		var c Command
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			continue
		}
		if c.Job != nil { // what is asked of the check, not of this machine
			c.Job.Members, c.Job.Publish.Publishers = min(c.Job.Members, 8), min(c.Job.Publish.Publishers, 8)
			c.Job.Tracked, c.Job.Sources = min(c.Job.Tracked, 8), nil
			for i := range c.Job.Targets {
				c.Job.Targets[i].Addr = netip.AddrPort{}
			}
		}
		replies = append(replies, execute(&w, Request{Command: c, Context: ctx}, func(*Tick) {}))
	}
	if w != nil {
		_ = w.Close()
	}
	return replies
}

// A command without its part, or with one that can't be carried out, is refused with what it lacks.
func TestCommandsWithoutTheirPartsAreRefused(t *testing.T) {
	open := `{"Do":"open","Job":{"Run":"` + stamp.NewRun() + `","Protocol":"zonecast","Rooms":["zone:w:a"],"PayloadBytes":128}}`
	for _, tt := range []struct {
		give []string
		want string
	}{
		{[]string{`{"Do":"open"}`}, "open has no Job"},
		{[]string{`{"Do":"send","Step":{}}`}, "no job yet"},
		{[]string{open, `{"Do":"send"}`}, "send has no Step"},
		{[]string{open, `{"Do":"send","Step":{"Duration":-1}}`}, "lasts -1ns"},
		{[]string{open, `{"Do":"send","Step":{"Duration":1,"Window":1}}`}, "no client publishes"},
		{[]string{`{"Do":"open","Job":{"Protocol":"zonecast","Members":1,"Rooms":["zone:w:a"]}}`}, "no Targets"},
		{[]string{`{"Do":"open","Job":{"Protocol":"zonecast","Members":-1}}`}, "-1 for Members"},
		{[]string{`{"Do":"open","Job":{"Protocol":"zonecast","Members":1}}`}, "no Rooms"},
		{[]string{`{"Do":"open","Job":{"Protocol":"zonecast","Rooms":["zone:w:a"],"Publish":{"Publishers":1}}}`}, "no Publish.Bases"},
		{[]string{open, `{"Do":"settle"}`, `{"Do":"close"}`}, ""},
	} {
		all := serve(t, tt.give...)
		if got := all[len(all)-1].Failure; !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", tt.give, got, tt.want)
		}
	}
}

// FuzzCommand: no command ends the process that it is given to.
func FuzzCommand(f *testing.F) {
	job := `{"Do":"open","Job":{"Run":"` + stamp.NewRun() + `","Protocol":"zonecast","Rooms":["zone:w:a"],"PayloadBytes":128,"Members":1,"Targets":[{}]}}`
	f.Add(job, `{"Do":"send","Step":{"Duration":1,"Rate":1,"Echo":1}}`, `{"Do":"settle","Accepted":[null],"Most":1}`)
	f.Add(`{"Do":"open"}`, `{"Do":"send"}`, `{"Do":"settle"}`)
	f.Add(job, `{"Do":"connect"}`, `{"Do":"send","Step":{"Duration":1,"Window":1}}`)
	f.Add(`{"Do":"open","Job":{"Protocol":"socketio","Mode":1,"Exponent":1e300}}`, `{"Do":"open","Job":{}}`, `{"Do":"close"}`)
	f.Fuzz(func(t *testing.T, a, b, c string) { serve(t, a, b, c) })
}
