package access

import "testing"

func TestHostsOtherThanThisServersAreRefused(t *testing.T) {
	for _, c := range []struct {
		allowed []string
		give    string
		want    bool
	}{
		{nil, "127.0.0.1:3001", true},
		{nil, "127.0.0.9", true},
		{nil, "localhost:80", true},
		{nil, "LocalHost.", true},
		{nil, "[::1]:3001", true},
		{nil, "[::1]", true},
		{nil, "evil.example", false},
		{nil, "evil.example:3001", false},
		{nil, "localhost.evil.example:3001", false},
		{nil, "127.0.0.1.evil.example", false},
		{nil, "127.0.0.1@evil.example", false},
		{nil, "192.0.2.1", false},
		{[]string{"push.example"}, "push.example:443", true},
		{[]string{"push.example"}, "PUSH.example", true},
		{[]string{"push.example"}, "127.0.0.1:3001", true},
		{[]string{"push.example"}, "a.push.example", false},
		{[]string{"push.example"}, "evilpush.example", false},
		{[]string{"*.push.example"}, "a.b.push.example", true},
		{[]string{"*.push.example"}, "push.example", false},
		{[]string{"*.push.example"}, ".push.example", false},
		{[]string{"2001:db8::1"}, "[2001:db8::1]:80", true},
		{[]string{"*"}, "evil.example", true},
	} {
		if got := hostAllowed(c.allowed, c.give); got != c.want {
			t.Errorf("Host %s with %v allowed: %v", c.give, c.allowed, got)
		}
	}
}
