//go:build linux

package worker

import (
	"fmt"
	"math"
	"time"
)

// What one worker can be told to do at most: more is a mistake of who gives the command.
const (
	maxMembers    = 1 << 20 // also of rooms, publishers and messages that are followed
	maxWriters    = 1 << 10
	maxBatch      = 1 << 16
	maxRate       = 1e9 // a second
	maxStep       = 30 * 24 * time.Hour
	maxPerStep    = 1 << 31 // messages, which are numbered with 32 bits
	maxRoomsTimes = 1 << 22 // rooms times writers
)

// check reports what a command lacks, so that a worker never has to guess.
func (c *Command) check() error {
	switch {
	case c.Do == DoOpen && c.Job == nil:
		return fmt.Errorf("the command %s has no Job", c.Do)
	case c.Do == DoOpen:
		return c.Job.check()
	case c.Do == DoSend && c.Step == nil:
		return fmt.Errorf("the command %s has no Step", c.Do)
	case c.Do == DoSend:
		return c.Step.check()
	case c.Most < 0:
		return fmt.Errorf("the command %s waits for %v", c.Do, c.Most)
	}
	return nil
}

func (j *Job) check() error {
	for _, n := range []struct {
		name        string
		value, most int
	}{
		{"Members", j.Members, maxMembers}, {"Rooms", len(j.Rooms), maxMembers}, {"First", j.First, math.MaxInt32 - maxMembers},
		{"Tracked", j.Tracked, math.MaxInt32}, {"EchoPosts", j.EchoPosts, maxBatch}, {"Publish.Publishers", j.Publish.Publishers, maxMembers},
		{"Publish.Batch", j.Publish.Batch, maxBatch}, {"Publish.Writers", j.Publish.Writers, maxWriters},
		{"Rooms times Publish.Writers", len(j.Rooms) * max(min(j.Publish.Writers, maxWriters), 1), maxRoomsTimes},
		{"Behaviour.BytesPerSec", j.Behaviour.BytesPerSec, math.MaxInt32},
	} {
		if n.value < 0 || n.value > n.most {
			return fmt.Errorf("the job has %d for %s: 0 to %d are possible", n.value, n.name, n.most)
		}
	}
	for _, r := range []struct {
		name  string
		value float64
	}{{"ConnectRate", j.ConnectRate}, {"Exponent", j.Exponent}, {"Behaviour.Rate", j.Behaviour.Rate}, {"Behaviour.Share", j.Behaviour.Share}} {
		if !(r.value >= 0 && r.value <= maxRate) { // not a number is neither
			return fmt.Errorf("the job has %v for %s: 0 to %v are possible", r.value, r.name, float64(maxRate))
		}
	}
	byAPI := j.Publish.Publishers > 0 && !j.Publish.ByClients
	switch {
	case j.Members+j.Publish.Publishers > 0 && len(j.Rooms) == 0:
		return fmt.Errorf("the job has members or publishers, and no Rooms")
	case (j.Members > 0 || j.Publish.Publishers > 0 && j.Publish.ByClients) && len(j.Targets) == 0:
		return fmt.Errorf("the job has members or clients that publish, and no Targets")
	case byAPI && len(j.Publish.Bases) == 0:
		return fmt.Errorf("the job publishes through the API, and has no Publish.Bases")
	case j.Behaviour.Kind == Flaky && (j.Behaviour.Every <= 0 || j.Behaviour.Offline <= 0):
		return fmt.Errorf("the job's members are flaky, every %v for %v: both must be above 0", j.Behaviour.Every, j.Behaviour.Offline)
	case j.Reconnect < 0 || j.Grace < 0 || j.Behaviour.At < 0 || j.Behaviour.Every < 0 || j.Behaviour.Offline < 0:
		return fmt.Errorf("the job has a time below 0")
	}
	return nil
}

func (s *Step) check() error {
	for _, r := range []struct {
		name  string
		value float64
	}{{"Rate", s.Rate}, {"Echo", s.Echo}} {
		if !(r.value >= 0 && r.value <= maxRate && r.value*s.Duration.Seconds() < maxPerStep) {
			return fmt.Errorf("the step has %v for %s and lasts %v: that is too much", r.value, r.name, s.Duration)
		}
	}
	if s.Duration < 0 || s.Duration > maxStep || s.Window < 0 {
		return fmt.Errorf("the step lasts %v with a window of %d", s.Duration, s.Window)
	}
	return nil
}
