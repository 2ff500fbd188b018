package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/demo/floor"
)

const (
	// DefaultClients is about one for each of those who work on the floor, and its screens.
	DefaultClients = 120
	// MaxClients keeps the demo one that a laptop can play.
	MaxClients = 5000
)

const (
	// screenShare is one wall screen among so many members; each zone has at least one, as far as
	// there are members.
	screenShare = 8
	// stay and away are how long a handheld is in use and put down, on average, in simulated time.
	stay, away = 40 * time.Minute, 4 * time.Minute
	// shortest is the least real time of either, whatever the speed.
	shortest = 2 * time.Second
	// arrival is the real time over which the members come at first.
	arrival = 3 * time.Second
	// silence is how long nothing may come from the server, which sends heartbeats, before a member
	// connects anew.
	silence = 90 * time.Second
	// farewell is how long a member waits for the answer to its close frame.
	farewell = time.Second
)

// CrowdOptions are what [RunCrowd] needs to know.
type CrowdOptions struct {
	// URL is the server's, like http://127.0.0.1:3001.
	URL string
	// Token, if not nil, returns the token that a user connects with.
	Token func(user string) (string, error)
	// Clients is how many members there are, at most [MaxClients]; some are away at any time.
	Clients int
	// Seed chooses who they are and when they come and go; Speed is as in [Options].
	Seed   uint64
	Speed  float64
	Logger *slog.Logger
}

// RunCrowd opens the connections of those who look at a shift: wall screens, which stay, and
// handhelds, which come and go. It returns when ctx is done and all have left. An error means that
// the options make no sense.
func RunCrowd(ctx context.Context, o CrowdOptions) error {
	if o.Clients < 0 || o.Clients > MaxClients {
		return fmt.Errorf("demo: clients are %d: give 0 to %d", o.Clients, MaxClients)
	}
	endpoint, err := url.Parse(o.URL)
	if err != nil || endpoint.Host == "" {
		return fmt.Errorf("demo: %q is not the address of a server: write it like http://127.0.0.1:3001", o.URL)
	}
	if o.Speed, err = checkSpeed(o.Speed); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	endpoint.Scheme = strings.Replace(endpoint.Scheme, "http", "ws", 1)
	endpoint = endpoint.JoinPath("ws")
	var refused atomic.Bool
	var all sync.WaitGroup
	for _, m := range cast(o.Seed, o.Clients) {
		all.Go(func() { m.live(ctx, &o, *endpoint, &refused) })
	}
	all.Wait()
	return nil
}

// A member is one screen or handheld.
type member struct {
	user            string
	warehouse, zone string
	screen          bool
	rng             *rand.Rand // of this member alone
}

// cast returns the members: each zone has screens and handhelds, as many as its share of the people
// who work there.
func cast(seed uint64, clients int) []*member {
	rng := rand.New(rand.NewPCG(seed, 0x6372_6f77_64)) // "crowd"
	type place struct{ warehouse, zone string }
	var zones []place
	var crews []int
	total := 0
	for _, w := range floor.New(seed, time.Unix(0, 0)).Warehouses() {
		for _, z := range w.Zones() {
			zones, crews = append(zones, place{w.Name(), z.Name()}), append(crews, z.Crew())
			total += z.Crew()
		}
	}
	screens := min(clients, max(len(zones), clients/screenShare))
	all := make([]*member, clients)
	for i := range all {
		m := &member{screen: i < screens, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		at := i % len(zones)
		if !m.screen {
			at = 0
			for ticket := rng.IntN(total); ticket >= crews[at]; at++ {
				ticket -= crews[at]
			}
		}
		m.warehouse, m.zone = zones[at].warehouse, zones[at].zone
		kind := "handheld"
		if m.screen {
			kind = "screen"
		}
		m.user = fmt.Sprintf("%s-%s-%s-%d", kind, m.warehouse, m.zone, i+1)
		all[i] = m
	}
	return all
}

// live connects, stays, leaves and comes back until ctx is done. The first failure of all members
// is logged.
func (m *member) live(ctx context.Context, o *CrowdOptions, endpoint url.URL, refused *atomic.Bool) {
	endpoint.RawQuery = url.Values{"warehouse": {m.warehouse}, "zone": {m.zone}, "userId": {m.user}}.Encode()
	for pause := time.Duration(m.rng.Int64N(int64(arrival))); ; pause = m.lasts(away, o.Speed) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		for {
			visit, end := m.visit(ctx, o.Speed)
			err := m.watch(visit, endpoint.String(), o.Token)
			over := visit.Err() != nil
			end()
			if over {
				break
			}
			if err != nil && ctx.Err() == nil && refused.CompareAndSwap(false, true) {
				o.Logger.Warn("members of the demo can't connect, or were cut off; they try again", "err", err)
			}
			select {
			case <-time.After(shortest + time.Duration(m.rng.Int64N(int64(shortest)))):
			case <-ctx.Done():
			}
		}
	}
}

// visit returns how long the member stays this time: a screen for good.
func (m *member) visit(ctx context.Context, speed float64) (context.Context, context.CancelFunc) {
	if m.screen {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, m.lasts(stay, speed))
}

// lasts draws a real time of this simulated mean; short ones are many, and long ones few.
func (m *member) lasts(mean time.Duration, speed float64) time.Duration {
	drawn := time.Duration(m.rng.ExpFloat64() * float64(mean) / speed)
	return max(shortest, min(drawn, 5*time.Duration(float64(mean)/speed)))
}

// watch connects and reads until ctx is done or the connection ends.
func (m *member) watch(ctx context.Context, endpoint string, token func(string) (string, error)) error {
	header := http.Header{}
	if token != nil {
		t, err := token(m.user)
		if err != nil {
			return err
		}
		header.Set("Authorization", "Bearer "+t)
	}
	conn, answer, err := websocket.DefaultDialer.DialContext(ctx, endpoint, header)
	if err != nil {
		if answer != nil {
			err = errors.Join(err, errors.New(answer.Status))
		}
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Now().Add(farewell))
		_ = conn.SetReadDeadline(time.Now().Add(farewell))
	})
	defer stop()
	for {
		if ctx.Err() == nil {
			_ = conn.SetReadDeadline(time.Now().Add(silence))
		}
		if _, _, err := conn.NextReader(); err != nil {
			return err
		}
	}
}
