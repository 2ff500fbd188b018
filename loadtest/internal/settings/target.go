package settings

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/zonecast/zonecast/backend/wire"
)

// urls checks the addresses, puts the room into those of members, and derives those to publish to.
func (f *flags) urls(p *Plan, wrong *mistakes) {
	if len(f.WSURL) == 0 {
		wrong.addf("--ws-url (WS_URL) is empty: give the server's address, like ws://127.0.0.1:3001/ws")
	}
	derive := len(f.PublishURL) == 0 && f.Scenario == Fanout
	for _, text := range f.WSURL {
		u, err := wsURL(text)
		if err != nil {
			wrong.add(err)
			continue
		}
		p.WSURLs = append(p.WSURLs, memberURL(u, p.Room))
		p.ResumeURLs = append(p.ResumeURLs, memberURL(u, wire.Room{}))
		if !derive {
			continue
		}
		base, err := publishBase(u)
		wrong.add(err)
		if err == nil && !slices.Contains(p.PublishBases, base) {
			p.PublishBases = append(p.PublishBases, base)
		}
	}
	for _, text := range f.PublishURL {
		base, err := publishURL(text)
		wrong.add(err)
		if err == nil {
			p.PublishBases = append(p.PublishBases, base)
		}
	}
}

// wsURL reads an address to connect to. An http address means the WebSocket behind it, and no path means /ws.
func wsURL(text string) (*url.URL, error) {
	u, err := parseURL(text, "ws", "wss", "http", "https")
	if err != nil {
		return nil, fmt.Errorf("WebSocket address %q %w like ws://127.0.0.1:3001/ws (--ws-url, WS_URL)", text, err)
	}
	if rest, ok := strings.CutPrefix(u.Scheme, "http"); ok {
		u.Scheme = "ws" + rest
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/ws"
	}
	return u, nil
}

func publishURL(text string) (string, error) {
	u, err := parseURL(text, "http", "https")
	if err == nil && (u.RawQuery != "" || strings.Contains(u.Path, "/api/")) {
		err = fmt.Errorf("has more than the server's address: the API's path is added to it, so leave it out")
	}
	if err != nil {
		return "", fmt.Errorf("publish address %q %w like http://127.0.0.1:3001 (--publish-url, PUBLISH_URL)", text, err)
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// parseURL checks what both kinds of address have in common. The error goes on after the address.
func parseURL(text string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	switch {
	case err != nil:
		return nil, fmt.Errorf("is not a URL: write it")
	case !slices.Contains(schemes, u.Scheme):
		last := len(schemes) - 1
		return nil, fmt.Errorf("must begin with %s:// or %s://: write it", strings.Join(schemes[:last], "://, "), schemes[last])
	case u.Hostname() == "":
		return nil, fmt.Errorf("names no host: write it")
	case u.User != nil:
		return nil, fmt.Errorf("has a user name in it: give --token or --publish-key instead and write it")
	case u.Fragment != "":
		return nil, fmt.Errorf("has a # in it: write it")
	}
	return u, nil
}

// memberURL returns the address at which a member connects to join the room, or none for the zero Room.
func memberURL(u *url.URL, room wire.Room) string {
	member := *u
	q := member.Query()
	for name, value := range map[string]string{"warehouse": room.Warehouse, "zone": room.Zone} {
		q.Del(name)
		if value != "" {
			q.Set(name, value)
		}
	}
	member.RawQuery = q.Encode()
	return member.String()
}

// publishBase derives where to publish from where members connect: ws://host/prefix/ws gives http://host/prefix.
func publishBase(u *url.URL) (string, error) {
	prefix, ok := strings.CutSuffix(strings.TrimSuffix(u.Path, "/"), "/ws")
	if !ok {
		return "", fmt.Errorf("WebSocket address %q does not end in /ws, so where to publish can't be derived from it: "+
			"correct it, or give --publish-url", u)
	}
	return "http" + strings.TrimPrefix(u.Scheme, "ws") + "://" + u.Host + prefix, nil
}
