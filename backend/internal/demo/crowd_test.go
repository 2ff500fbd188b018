package demo

import (
	"reflect"
	"testing"
	"time"
)

func TestEachZoneHasAScreenAndTheSameSeedCastsTheSame(t *testing.T) {
	type who struct {
		user   string
		screen bool
	}
	list := func(seed uint64, n int) (all []who) {
		for _, m := range cast(seed, n) {
			all = append(all, who{m.user, m.screen})
		}
		return all
	}
	if !reflect.DeepEqual(list(7, 120), list(7, 120)) {
		t.Error("the same seed cast others")
	}
	if reflect.DeepEqual(list(7, 120), list(8, 120)) {
		t.Error("another seed cast the same")
	}
	zones, screens, handhelds := map[string]int{}, 0, 0
	for _, m := range cast(1, DefaultClients) {
		if m.screen {
			screens++
			zones[m.warehouse+" "+m.zone]++
		} else {
			handhelds++
		}
	}
	want := map[string]bool{}
	for _, m := range cast(1, 1000) {
		want[m.warehouse+" "+m.zone] = true
	}
	if len(zones) != len(want) || screens >= handhelds || screens+handhelds != DefaultClients {
		t.Errorf("%d screens in %d zones and %d handhelds; there are %d zones", screens, len(zones), handhelds, len(want))
	}
	if n := len(cast(1, 0)); n != 0 {
		t.Errorf("%d members of none", n)
	}
}

func TestVisitsAreNeitherBlinksNorForever(t *testing.T) {
	for _, speed := range []float64{1, DefaultSpeed, MaxSpeed} {
		for _, m := range cast(3, 50) {
			if d := m.lasts(stay, speed); d < shortest || d > max(shortest, time.Duration(5*float64(stay)/speed)) {
				t.Errorf("at speed %v: %v", speed, d)
			}
		}
	}
}

func TestACrowdThatMakesNoSenseIsRefused(t *testing.T) {
	for _, o := range []CrowdOptions{{URL: "http://127.0.0.1:1", Clients: -1}, {URL: "http://127.0.0.1:1", Clients: MaxClients + 1}, {URL: "nowhere", Clients: 1},
		{URL: "http://127.0.0.1:1", Clients: 1, Speed: -1}} {
		if err := RunCrowd(t.Context(), o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
