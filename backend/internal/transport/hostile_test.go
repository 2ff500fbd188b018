package transport_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// hostileNames mean something to Redis, to paths, to HTTP, to the protocol itself or to a page.
var hostileNames = []string{"*", "a*", "w?", "[a-z]", "{w1}", "w1}:history{x", "a:b", "zone:w1:a", ":", "a b", "a\r\nDEL x", "a\nSET x y",
	"$3\r\nDEL", "..", "../w1", "w1/zones/a", "..\\w1", "%2e%2e", "%00", "\x00", "a,b", "a@1-1", "é", "\u202ew1", "<script>", "\"w1\"", "'", "`id`",
	strings.Repeat("w", wire.MaxNameLen+1)}

// Names of rooms are letters, digits and -_. whatever way they come in: nothing else reaches Redis,
// a path or a page.
func TestNamesThatMeanSomethingElsewhereAreNoRoomsOverAnyTransport(t *testing.T) {
	s := startAll(t, auth.Options{})
	allowed := map[string]bool{"..": true} // dots are permitted, and mean nothing: no path is made of a name
	for name, try := range connect {
		t.Run(name, func(t *testing.T) {
			for _, hostile := range hostileNames {
				for _, query := range []string{"warehouse=%s", "warehouse=w1&zone=%s", "room=warehouse:%s", "room=zone:w1:%s", "cursor=warehouse:%s@k-1"} {
					query = fmt.Sprintf(query, url.QueryEscape(hostile))
					got := try(t, s.In(t), query, "")
					if got.code == "" && !allowed[hostile] && !(strings.HasPrefix(query, "room=") && parses(query)) {
						t.Errorf("?%s is let into %v", query, got.rooms)
					}
					if got.stream != nil {
						got.stream.close()
					}
				}
			}
		})
	}
	for name, try := range send {
		t.Run(name, func(t *testing.T) {
			for _, hostile := range hostileNames {
				quoted, err := json.Marshal(hostile)
				testkit.Must(t, err)
				for _, message := range []string{`{"warehouse":%s,"event":"E","data":1}`, `{"warehouse":"w1","zone":%s,"event":"E","data":1}`} {
					message = fmt.Sprintf(message, quoted)
					if got := try(t, s.In(t), message, ""); got.code == "" && !allowed[hostile] {
						t.Errorf("%s is published", message)
					}
				}
			}
		})
	}
}

// parses reports whether a query's room is one: "zone:w1:a" after "room=".
func parses(query string) bool {
	values, err := url.ParseQuery(query)
	if err != nil {
		return false
	}
	_, err = wire.ParseRoom(values.Get("room"))
	return err == nil
}
