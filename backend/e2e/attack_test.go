package e2e_test

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
)

// What floods of strangers, of a tenant and of guessers do to honest clients. The figures depend on
// the machine, and are printed; that nothing which was acknowledged is lost, that honest clients
// stay connected and that services go on publishing does not. make attack lets the floods last
// longer (-full).

const (
	attackSecret   = "a-secret-of-the-attack-suite-32-bytes"
	attackKey      = "a-publish-key-of-the-attack-suite-32"
	attackPassword = "an-operator-password-of-the-suite-32"
)

// An attack is a flood against a server. Each of its workers repeats one step until the flood is
// over.
type attack struct {
	name    string
	workers func(full bool) int
	// step is one of them; what it opens it may leave in hold, which is closed at the end. pause is
	// between two steps of a worker.
	step  func(ctx context.Context, i *stack.Server, worker, n int, hold func(io.Closer)) error
	pause time.Duration
}

func workers(brief, full int) func(bool) int {
	return func(isFull bool) int {
		if isFull {
			return full
		}
		return brief
	}
}

var attacks = []attack{
	{name: "bodies that never come", workers: workers(4, 8), pause: 5 * time.Millisecond,
		step: func(ctx context.Context, i *stack.Server, _, _ int, hold func(io.Closer)) error {
			return sendAndHold(ctx, i, "GET /livez HTTP/1.1\r\nHost: "+i.Address+"\r\nContent-Length: 1\r\n\r\n", hold)
		}},
	{name: "sockets that never read", workers: workers(4, 8), pause: 50 * time.Millisecond,
		step: func(ctx context.Context, i *stack.Server, _, _ int, hold func(io.Closer)) error {
			return sendAndHold(ctx, i, strings.Repeat("GET /metrics HTTP/1.1\r\nHost: "+i.Address+"\r\n\r\n", 500), hold)
		}},
	{name: "compressed bombs without a token", workers: workers(2, 8), pause: 5 * time.Millisecond,
		step: func(ctx context.Context, i *stack.Server, _, _ int, _ func(io.Closer)) error {
			conn, err := attackers.DialContext(ctx, "tcp", i.Address)
			if err != nil {
				return err
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
				return err
			}
			if _, err := conn.Write(slices.Concat(wsframe.AppendRequest(nil, i.Address, "/ws", "", true), bombs())); err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, conn) // until the server has had enough
			return err
		}},
	{name: "connects with a wrong token", workers: workers(4, 32), pause: 10 * time.Millisecond, // 3,200/s at most
		step: func(ctx context.Context, i *stack.Server, _, _ int, _ func(io.Closer)) error {
			return connectWrongly(ctx, i.Address)
		}},
	{name: "rooms without end by a token that may only read", workers: workers(4, 16),
		step: func(ctx context.Context, i *stack.Server, worker, n int, _ func(io.Closer)) error {
			var query strings.Builder
			for room := range wire.RoomsPerConnection - 1 {
				fmt.Fprintf(&query, "&room=zone:warehouse-2:z-%d-%d-%d", worker, n, room)
			}
			ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			return askFor(ctx, http.MethodGet, i.URL+"/poll?warehouse=warehouse-2"+query.String(), "Bearer "+attackToken(), "")
		}},
	{name: "publications without end to another warehouse", workers: workers(4, 16),
		step: func(ctx context.Context, i *stack.Server, worker, _ int, _ func(io.Closer)) error {
			return askFor(ctx, http.MethodPost, fmt.Sprintf("%s/api/v1/warehouses/warehouse-2/zones/z-%d/broadcast", i.URL, worker), "Bearer "+attackKey,
				`{"event":"FLOOD","data":"`+strings.Repeat("x", 10_000)+`"}`)
		}},
	{name: "guessed passwords", workers: workers(4, 32),
		step: func(ctx context.Context, i *stack.Server, worker, n int, _ func(io.Closer)) error {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, i.URL+"/api/v1/connections", nil)
			if err != nil {
				return err
			}
			r.SetBasicAuth("operator", fmt.Sprintf("guess-%d-%d", worker, n))
			return answered(attackClient.Do(r))
		}},
	{name: "queries of thousands of rooms without a token", workers: workers(4, 16),
		step: func(ctx context.Context, i *stack.Server, worker, _ int, _ func(io.Closer)) error {
			return askAsStranger(ctx, i.URL+[]string{"/poll?", "/sse?", "/ws?"}[worker%3]+longQuery())
		}},
	{name: "health figures without end", workers: workers(4, 16),
		step: func(ctx context.Context, i *stack.Server, worker, _ int, _ func(io.Closer)) error {
			return askAsStranger(ctx, i.URL+[]string{"/health/websocket/metrics", "/readyz", "/metrics"}[worker%3])
		}},
	{name: "wall screens without end", workers: workers(4, 16),
		step: func(ctx context.Context, i *stack.Server, worker, n int, _ func(io.Closer)) error {
			return askAsStranger(ctx, fmt.Sprint(i.URL, "/screen/", []string{"warehouse-1/z-", "none-"}[worker%2], n))
		}},
}

// longQuery names as many rooms as fit into a request.
var longQuery = sync.OnceValue(func() string {
	var query strings.Builder
	for room := 1000; query.Len() < 47<<10; room++ {
		fmt.Fprintf(&query, "room=warehouse:%d&", room)
	}
	return query.String()
})

// bombs are 200 compressed frames of 64 kB each, made once: an attacker shares the cores with the
// server.
var bombs = sync.OnceValue(func() (all []byte) {
	var deflated bytes.Buffer
	w, _ := flate.NewWriter(&deflated, flate.BestSpeed) // which is a level that there is
	_, _ = io.WriteString(w, `{"event":"echo","data":"`+strings.Repeat("x", 64_000)+`"}`)
	_ = w.Flush()
	frame := wsframe.Header{Op: wsframe.Text, Final: true, Deflated: true, Masked: true, Key: [4]byte{1, 2, 3, 4}}
	for range 200 {
		all = frame.AppendFrame(all, bytes.TrimSuffix(deflated.Bytes(), []byte{0, 0, 0xff, 0xff}))
	}
	return all
})

// Attackers come from another address than honest clients, so that limits by address are theirs.
var (
	attackers    = &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	attackClient = &http.Client{Transport: &http.Transport{DialContext: attackers.DialContext, MaxIdleConnsPerHost: 64}}
)

// attackToken is one that may read warehouse-2.
func attackToken() string { return token("attacker", "warehouse-2") }

func token(user, warehouse string) string {
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": user, "warehouses": []string{warehouse},
		"iat": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix()}).SignedString([]byte(attackSecret))
	if err != nil {
		panic(err) // only a key of another type is one
	}
	return text
}

func sendAndHold(ctx context.Context, i *stack.Server, text string, hold func(io.Closer)) error {
	conn, err := attackers.DialContext(ctx, "tcp", i.Address)
	if err != nil {
		return err
	}
	hold(conn)
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = io.WriteString(conn, text)
	return err
}

func askFor(ctx context.Context, method, url, authorization, body string) error {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", authorization)
	r.Header.Set("Content-Type", "application/json")
	return answered(attackClient.Do(r))
}

func askAsStranger(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept-Encoding", "gzip") // and nobody decompresses it
	return answered(attackClient.Do(r))
}

// answered reports whether what was asked for was done.
func answered(response *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

func TestHonestClientsOutlastAttacks(t *testing.T) {
	length, honest := 1500*time.Millisecond, 10
	if *full {
		length, honest = 20*time.Second, 100
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			i := alone(t, map[string]string{"AUTH_TOKEN_SECRET": attackSecret, "PUBLISH_KEYS": attackKey, "OPERATOR_PASSWORD": attackPassword,
				"MAX_CONNECTIONS": "2000"}).Instances[0]
			p := newParty(t, i, honest)
			before := p.measure(length)
			ctx, stop := context.WithTimeout(t.Context(), length)
			defer stop()
			var flooding sync.WaitGroup
			var done, failed atomic.Int64
			cpu, began := cpuTime(t, i), time.Now()
			flooding.Go(func() { done.Store(int64(a.run(ctx, i, &failed))) })
			during := p.measure(length)
			stop()
			flooding.Wait()
			t.Logf("%d steps of the attack, %d of them refused or cut off", done.Load(), failed.Load())
			t.Logf("before: %v", before)
			t.Logf("the server used %.2f of a core during the attack", (cpuTime(t, i)-cpu).Seconds()/time.Since(began).Seconds())
			t.Logf("during: %v; p99 %.1f times that of before", during, float64(during.p99)/float64(max(before.p99, 1)))
			p.wantAll(t)
			// Attackers and honest clients share the cores with the server, so it is fewer.
			if during.published*10 < before.published {
				t.Errorf("during the attack %d events were published, before it %d: want at least a tenth", during.published, before.published)
			}
		})
	}
}

// run floods until ctx ends, and returns how many steps were made.
func (a *attack) run(ctx context.Context, i *stack.Server, failed *atomic.Int64) int {
	var mu sync.Mutex
	var held []io.Closer
	var steps atomic.Int64
	var running sync.WaitGroup
	for worker := range a.workers(*full) {
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				steps.Add(1)
				if err := a.step(ctx, i, worker, n, func(c io.Closer) {
					mu.Lock()
					defer mu.Unlock()
					held = append(held, c)
				}); err != nil {
					failed.Add(1)
				}
				time.Sleep(a.pause)
			}
		})
	}
	running.Wait()
	for _, c := range held {
		c.Close()
	}
	return int(steps.Load())
}

// A party is a publisher and honest clients of one room.
type party struct {
	t       *testing.T
	i       *stack.Server
	clients []*guest
	http    http.Client
	last    wire.Offset   // that was acknowledged
	every   time.Duration // between two messages; a fiftieth of a second unless it says otherwise
}

// A guest counts what it receives.
type guest struct {
	mu    sync.Mutex
	last  wire.Offset
	wrong string          // what broke a promise
	took  []time.Duration // since the last measure
}

// figures are what honest clients saw.
type figures struct {
	published, refused int
	p50, p99           time.Duration
}

func (f figures) String() string {
	return fmt.Sprintf("p50 %v, p99 %v, %d published, %d refused", f.p50.Round(10*time.Microsecond), f.p99.Round(10*time.Microsecond), f.published, f.refused)
}

func newParty(t *testing.T, i *stack.Server, clients int) *party {
	t.Helper()
	p := &party{t: t, i: i, http: http.Client{Timeout: patience}}
	for n := range clients {
		conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), i.WebSocket()+"?warehouse=warehouse-1&zone=a",
			http.Header{"Authorization": {"Bearer " + token(fmt.Sprint("honest-", n), "warehouse-1")}})
		testkit.Must(t, err)
		g := new(guest)
		var reading sync.WaitGroup
		reading.Go(func() { g.read(conn) })
		t.Cleanup(func() { conn.Close(); reading.Wait() })
		p.clients = append(p.clients, g)
	}
	testkit.Succeeds(t, "all are in the room", func() error {
		if n := metric(t, i.URL, `zonecast_connections{transport="websocket"}`); int(n) != clients {
			return fmt.Errorf("%v of %d", n, clients)
		}
		return nil
	})
	return p
}

func (g *guest) read(conn *websocket.Conn) {
	for {
		var f frame
		err := conn.ReadJSON(&f)
		g.mu.Lock()
		switch at, bad := wire.ParseOffset(f.Offset); {
		case err != nil:
			if g.wrong == "" {
				g.wrong = "disconnected: " + err.Error()
			}
			g.mu.Unlock()
			return
		case f.Event == wire.EventGap || f.Event == wire.EventError:
			g.wrong = f.Event + " " + string(f.Data)
		case bad == nil && f.Event == "E":
			var sent int64
			if g.last.N > 0 && at != g.last.Next() || json.Unmarshal(f.Data, &sent) != nil {
				g.wrong = fmt.Sprintf("%v came after %v", at, g.last)
			}
			g.last = at
			g.took = append(g.took, time.Since(time.Unix(0, sent)))
		}
		g.mu.Unlock()
	}
}

// measure publishes for so long, and returns what that was like for honest clients.
func (p *party) measure(length time.Duration) (f figures) {
	tick := time.NewTicker(cmp.Or(p.every, 20*time.Millisecond))
	defer tick.Stop()
	for over := time.Now().Add(length); time.Now().Before(over); <-tick.C {
		at, err := p.publish()
		if err != nil {
			f.refused++
			continue
		}
		f.published++
		p.last = at
	}
	p.wantAll(p.t)
	var took []time.Duration
	for _, g := range p.clients {
		g.mu.Lock()
		took = append(took, g.took...)
		g.took = nil
		g.mu.Unlock()
	}
	slices.Sort(took)
	if n := len(took); n > 0 {
		f.p50, f.p99 = took[n/2], took[n*99/100]
	}
	return f
}

func (p *party) publish() (wire.Offset, error) {
	r, err := http.NewRequest(http.MethodPost, p.i.URL+"/api/v1/warehouses/warehouse-1/zones/a/broadcast",
		strings.NewReader(fmt.Sprintf(`{"event":"E","data":%d}`, time.Now().UnixNano())))
	if err != nil {
		return wire.Offset{}, err
	}
	r.Header.Set("Authorization", "Bearer "+attackKey)
	r.Header.Set("Content-Type", "application/json")
	response, err := p.http.Do(r)
	if err != nil {
		return wire.Offset{}, err
	}
	defer response.Body.Close()
	var receipt struct{ Offset string }
	if err := json.NewDecoder(bufio.NewReader(response.Body)).Decode(&receipt); err != nil || response.StatusCode != http.StatusOK {
		return wire.Offset{}, errors.New(response.Status)
	}
	return wire.ParseOffset(receipt.Offset)
}

// wantAll waits until each client has got everything that was acknowledged, on the connection with
// which it began.
func (p *party) wantAll(t *testing.T) {
	t.Helper()
	for n, g := range p.clients {
		testkit.Succeeds(t, fmt.Sprintf("honest client %d has got everything", n), func() error {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.wrong != "" {
				t.Fatalf("honest client %d: %s", n, g.wrong)
			}
			if g.last.N < p.last.N {
				return fmt.Errorf("%v of %v", g.last, p.last)
			}
			return nil
		})
	}
}
