package main

import (
	"testing"
	"testing/synctest"
	"time"
)

// However often it is asked for, what is costly takes a tenth of the time at most; what costs nothing
// is of now.
func TestCostlyFiguresTakeATenthOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var counted int
		took := 20 * time.Millisecond
		c := costly[int]{count: func() int { time.Sleep(took); counted++; return counted }}
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			c.get()
		}
		if counted < 9 || counted > 11 {
			t.Errorf("counted %d times in 2 s", counted)
		}
		time.Sleep(time.Second)
		took = 0
		c.get()
		if was := counted; c.get() != was+1 || c.get() != was+2 {
			t.Error("what costs nothing is not of now")
		}
	})
}
