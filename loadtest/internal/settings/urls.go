package settings

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/zonecast/zonecast/loadtest/internal/protocol"
)

// urls checks the addresses, and derives those to publish to.
func (p *Plan) urls(wrong *mistakes) {
	if len(p.WSURLs) == 0 {
		wrong.addf("--ws-url (WS_URL) is empty: give the server's address, like ws://127.0.0.1:3001/ws")
	}
	given := p.WSURLs
	p.WSURLs = nil
	derive := len(p.PublishURLs) == 0 && p.Publishes() && p.PublishAs == AsAPI
	for _, text := range given {
		u, err := wsURL(text, p.Protocol)
		if err != nil {
			wrong.add(err)
			continue
		}
		if derive {
			base, err := publishBase(u)
			wrong.add(err)
			if err == nil && !slices.Contains(p.PublishBases, base) {
				p.PublishBases = append(p.PublishBases, base)
			}
		}
		member, err := p.memberURL(u)
		wrong.add(err)
		p.WSURLs = append(p.WSURLs, member)
	}
	for _, text := range p.PublishURLs {
		base, err := publishURL(text)
		wrong.add(err)
		if err == nil {
			p.PublishBases = append(p.PublishBases, base)
		}
	}
}

// wsURL reads an address: http means the WebSocket behind it, and no path the protocol's.
func wsURL(text, spoken string) (*url.URL, error) {
	u, err := parseURL(text, "ws", "wss", "http", "https")
	if err != nil {
		return nil, fmt.Errorf("WebSocket address %q %w like ws://127.0.0.1:3001/ws (--ws-url, WS_URL)", text, err)
	}
	if rest, ok := strings.CutPrefix(u.Scheme, "http"); ok {
		u.Scheme = "ws" + rest
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = protocol.Path(spoken)
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

// parseURL checks what both kinds of address have in common. Its error follows the address.
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

// memberURL returns where members connect: with their transport's path, and without a room.
func (p *Plan) memberURL(u *url.URL) (string, error) {
	member := *u
	q := member.Query()
	q.Del("warehouse")
	q.Del("zone")
	member.RawQuery = q.Encode()
	if p.Transport != WebSocket {
		prefix, ok := strings.CutSuffix(strings.TrimSuffix(u.Path, "/"), "/ws")
		if !ok {
			return "", fmt.Errorf("WebSocket address %q does not end in /ws, so that of --transport %s can't be derived from it: correct it",
				u, p.Transport)
		}
		member.Path = prefix + "/" + p.Transport
		member.Scheme = "http" + strings.TrimPrefix(u.Scheme, "ws")
	}
	return member.String(), nil
}

// publishBase derives where to publish: ws://host/prefix/ws gives http://host/prefix.
func publishBase(u *url.URL) (string, error) {
	prefix, ok := strings.CutSuffix(strings.TrimSuffix(u.Path, "/"), "/ws")
	if !ok {
		return "", fmt.Errorf("WebSocket address %q does not end in /ws, so where to publish can't be derived from it: "+
			"correct it, or give --publish-url", u)
	}
	return "http" + strings.TrimPrefix(u.Scheme, "ws") + "://" + u.Host + prefix, nil
}
