package transport

import "testing"

func TestAnIPv6NetworkIsOneAddress(t *testing.T) {
	for give, want := range map[string]string{
		"192.0.2.7":                "192.0.2.7",
		"::ffff:192.0.2.7":         "::ffff:192.0.2.7",
		"2001:db8:1:2:3:4:5:6":     "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::1":     "2001:db8:1:2::/64",
		"2001:db8:1:3::1":          "2001:db8:1:3::/64",
		"fe80::1%eth0":             "fe80::/64",
		"what a proxy may send in": "what a proxy may send in",
		"":                         "",
	} {
		if got := network(give); got != want {
			t.Errorf("%q is %q, want %q", give, got, want)
		}
	}
}
