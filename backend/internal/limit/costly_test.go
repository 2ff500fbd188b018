package limit

import (
	"testing"
	"testing/synctest"
	"time"
)

// However often it is asked for, what is costly takes three seconds at once and a tenth of the
// time; who asks seldom, and for what costs nothing, gets a value of now.
func TestCostlyFiguresTakeATenthOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var computed int
		took := 20 * time.Millisecond
		c := NewCostly(func() int { time.Sleep(took); computed++; return computed })
		ask := func(d time.Duration) (times int) {
			before := computed
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
				c.Get()
			}
			return computed - before
		}
		if at := ask(10 * time.Second); at < 195 || at > 205 {
			t.Errorf("computed %d times in the first 10 s", at)
		}
		if at := ask(10 * time.Second); at < 48 || at > 52 {
			t.Errorf("computed %d times in 10 s", at)
		}
		time.Sleep(3 * time.Second)
		took = 0
		c.Get()
		if was := computed; c.Get() != was+1 || c.Get() != was+2 {
			t.Error("what costs nothing is not of now")
		}
	})
}
