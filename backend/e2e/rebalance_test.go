package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// An instance that was restarted last has no clients. Told to, the others share theirs with it,
// until all have the mean within 20 %; the clients miss nothing.
func TestPromiseConnectionsAreSharedOutAgain(t *testing.T) {
	s := stacktest.Start(t, stack.Options{Root: repository, Binary: binary(), Instances: 3, Redis: true, Nginx: true,
		Settings: map[string]string{"DRAIN_TIMEOUT": "2s", "REBALANCE_RATE": "40"}})
	const clients = 60
	var all []*watcher
	for range clients {
		all = append(all, watch(t, "shared", s.Nginx.WebSocket()))
	}
	var last wire.Offset
	var published uint64
	publish := func() {
		last = send(t, s.Nginx.URL, "shared", body(int(published)))
		published++
	}
	publish()
	testkit.Must(t, s.Instances[2].Restart(t.Context()))
	publish()
	testkit.Succeeds(t, "nginx sends clients to the instance again", func() error {
		c := dial(t, s.Nginx.WebSocket())
		defer c.conn.Close()
		if c.node != "backend-3" {
			return errors.New(c.node)
		}
		return nil
	})
	testkit.Succeeds(t, "all know that the other two have all clients", func() error {
		for _, i := range s.Instances {
			shares, err := shares(i.URL)
			if err != nil {
				return err
			}
			if len(shares) != 3 || shares["backend-3"] != 0 || shares["backend-1"]+shares["backend-2"] != clients {
				return fmt.Errorf("%s knows of %v", i.Name(), shares)
			}
		}
		return nil
	})
	answer, err := http.Post(s.Nginx.URL+"/api/v1/rebalance", "application/json", http.NoBody)
	testkit.Must(t, err)
	text, err := io.ReadAll(answer.Body)
	testkit.Must(t, errors.Join(err, answer.Body.Close()))
	var plan struct{ Moving int }
	if json.Unmarshal(text, &plan) != nil || answer.StatusCode != http.StatusAccepted || plan.Moving != clients/3 {
		t.Fatalf("the answer is %s: %s", answer.Status, text)
	}
	testkit.Succeeds(t, "connections are even", func() error {
		publish()
		shares, err := shares(s.Instances[0].URL)
		if err != nil {
			return err
		}
		total := 0
		for node, n := range shares {
			total += n
			if math.Abs(float64(n)-clients/3) > 0.2*clients/3 {
				err = errors.Join(err, fmt.Errorf("%s has %d", node, n))
			}
		}
		if total != clients {
			err = errors.Join(err, fmt.Errorf("%d are connected", total))
		}
		return err
	})
	publish()
	moved := 0
	for i, w := range all {
		w.want(t, fmt.Sprint("client ", i), last, published)
		connected, _ := w.state()
		moved += connected - 1
	}
	if most := clients/3 + clients/3*4/3; moved > most { // the restart, and the sharing
		t.Errorf("clients had to connect again %d times, want %d at most", moved, most)
	}

	// The dashboard has a button for it, to whoever comes from there.
	testkit.Succeeds(t, "the dashboard, which looks every 5 s, knows several instances", func() error {
		page, err := http.Get(s.Nginx.URL + "/ui/")
		if err != nil {
			return err
		}
		defer page.Body.Close()
		html, err := io.ReadAll(page.Body)
		if err == nil && !strings.Contains(string(html), `<form method="post" action="/ui/rebalance">`) {
			err = errors.New("there is no button")
		}
		return err
	})
	pressed, err := http.PostForm(s.Nginx.URL+"/ui/rebalance", nil)
	testkit.Must(t, err)
	pressed.Body.Close()
	if pressed.StatusCode != http.StatusOK || pressed.Request.URL.Path != "/ui/" {
		t.Errorf("the button leads to %s: %s", pressed.Request.URL, pressed.Status)
	}
}

// shares is how many clients each instance has.
func shares(base string) (map[string]int, error) {
	answer, err := http.Get(base + "/health/websocket/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var health struct {
		Nodes []struct {
			Node        string
			Connections int
		}
	}
	all := map[string]int{}
	err = json.NewDecoder(answer.Body).Decode(&health)
	for _, n := range health.Nodes {
		all[n.Node] = n.Connections
	}
	return all, err
}
