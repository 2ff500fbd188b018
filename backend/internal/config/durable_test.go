package config

import (
	"fmt"
	"testing"
	"time"
)

func TestMistakesOfDurable(t *testing.T) {
	fine := Durable{DurableDisk: true, DurableTimeout: 3 * time.Second}
	change := func(f func(*Durable)) Durable { d := fine; f(&d); return d }
	for _, tt := range []struct {
		name  string
		give  Durable
		redis string
		want  string
	}{
		{"the defaults", fine, "", "<nil>"},
		{"all of them, with Redis", change(func(d *Durable) { d.PublishDurable = true }), "redis://127.0.0.1:6379", "<nil>"},
		{"all of them, in memory", change(func(d *Durable) { d.PublishDurable = true }), "",
			"--publish-durable needs --redis-url: without Redis everything is kept in memory alone"},
		{"replicas alone", change(func(d *Durable) { d.DurableDisk, d.DurableReplicas = false, 2 }), "", "<nil>"},
		{"nothing to wait for", change(func(d *Durable) { d.DurableDisk = false }), "",
			"--no-durable-disk leaves nothing to wait for: set --durable-replicas to at least 1"},
		{"replicas", change(func(d *Durable) { d.DurableReplicas = -1 }), "", "--durable-replicas must be from 0 to 100"},
		{"timeout", change(func(d *Durable) { d.DurableTimeout = time.Minute }), "", "--durable-timeout must be from 100ms to 20s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := fmt.Sprint(tt.give.check(tt.redis)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
