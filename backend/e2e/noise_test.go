package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// These compare honest clients with and without an attack, in rounds that take turns on one server,
// so that what else the machine does meets both alike. make attack runs them at full length; the
// ratios are printed.

// alternate measures rounds of so long, without the attack and with it by turns, and returns the
// median of the p99 with it, over that of the round before.
func alternate(t *testing.T, p *party, rounds int, length time.Duration, attack func(ctx context.Context)) float64 {
	t.Helper()
	p.measure(length / 2) // connections are open, and the program is warm
	var ratios []float64
	for range rounds {
		quiet := p.measure(length)
		ctx, stop := context.WithTimeout(t.Context(), length)
		var attacking sync.WaitGroup
		attacking.Go(func() { attack(ctx) })
		loud := p.measure(length)
		stop()
		attacking.Wait()
		ratios = append(ratios, float64(loud.p99)/float64(max(quiet.p99, 1)))
		t.Logf("without: %v; with: %v", quiet, loud)
	}
	slices.Sort(ratios)
	median := ratios[len(ratios)/2]
	t.Logf("p99 with the attack is %.2f times that without (median of %d rounds, from %.2f to %.2f)",
		median, rounds, ratios[0], ratios[len(ratios)-1])
	return median
}

// pace calls a step n times a second, in so many goroutines, until ctx ends.
func pace(ctx context.Context, goroutines, n int, step func()) {
	var running sync.WaitGroup
	for range goroutines {
		running.Go(func() {
			tick := time.NewTicker(time.Duration(goroutines) * time.Second / time.Duration(n))
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					step()
				case <-ctx.Done():
					return
				}
			}
		})
	}
	running.Wait()
}

// A warehouse that is published to at ten times its quota is refused nine messages of ten, and the
// others get all of theirs.
func TestAWarehouseAtTenTimesItsQuotaDisturbsNobody(t *testing.T) {
	rounds, length, honest := 1, 700*time.Millisecond, 10
	if *full {
		rounds, length, honest = 7, 8*time.Second, 100
	}
	const quota = 100 // messages a second
	for _, redis := range []bool{false, true} {
		t.Run(map[bool]string{false: "memory", true: "Redis"}[redis], func(t *testing.T) {
			i := stacktest.Start(t, stack.Options{Root: repository, Binary: binary(), Instances: 1, Redis: redis, Settings: map[string]string{
				"AUTH_TOKEN_SECRET": attackSecret, "PUBLISH_KEYS": attackKey, "OPERATOR_PASSWORD": attackPassword,
				"QUOTA_PUBLISH_RATE": fmt.Sprint(quota), "QUOTA_PUBLISH_BURST": fmt.Sprint(quota)}}).Instances[0]
			p := newParty(t, i, honest)
			var accepted, refused atomic.Int64
			alternate(t, p, rounds, length, func(ctx context.Context) {
				pace(ctx, 8, 10*quota, func() {
					if err := askFor(ctx, http.MethodPost, i.URL+"/api/v1/warehouses/warehouse-2/zones/z/broadcast", "Bearer "+attackKey,
						`{"event":"FLOOD","data":"`+strings.Repeat("x", 1000)+`"}`); err != nil {
						refused.Add(1)
					} else {
						accepted.Add(1)
					}
				})
			})
			t.Logf("of the other warehouse's messages %d were accepted and %d refused", accepted.Load(), refused.Load())
			if most := int64(quota * (2 + rounds + int(float64(rounds)*length.Seconds()*2))); accepted.Load() > most {
				t.Errorf("%d messages were accepted with a quota of %d a second", accepted.Load(), quota)
			}
			if *full && refused.Load() < accepted.Load() {
				t.Errorf("%d messages were accepted, and only %d refused", accepted.Load(), refused.Load())
			}
		})
	}
}

// Whoever connects with wrong tokens as fast as 2,000 times a second from one address disturbs
// nobody who is connected.
func TestWrongTokensByTheThousandDisturbNobodyConnected(t *testing.T) {
	rounds, length, honest, rate := 1, 700*time.Millisecond, 20, 200
	if *full {
		rounds, length, honest, rate = 5, 10*time.Second, 10_000, 2000
	}
	i := alone(t, map[string]string{"AUTH_TOKEN_SECRET": attackSecret, "PUBLISH_KEYS": attackKey, "OPERATOR_PASSWORD": attackPassword}).Instances[0]
	p := newParty(t, i, honest)
	if *full {
		p.every = time.Second // 10,000 deliveries a second are as much as one room of all takes
	}
	var tried, refused atomic.Int64
	before, began := cpuTime(t, i), time.Now()
	alternate(t, p, rounds, length, func(ctx context.Context) {
		pace(ctx, 64, rate, func() {
			tried.Add(1)
			if err := connectWrongly(ctx, i.Address); err == nil {
				refused.Add(1)
			}
		})
	})
	t.Logf("%d connects, %.0f a second of the rounds with them, were refused; the server used %.2f of a core", refused.Load(),
		float64(refused.Load())/(float64(rounds)*length.Seconds()), (cpuTime(t, i)-before).Seconds()/time.Since(began).Seconds())
	if refused.Load() == 0 {
		t.Errorf("none of %d connects was refused", tried.Load())
	}
}

// connectWrongly connects with a wrong token, and returns nil once it was refused: over HTTP, or
// over the connection.
func connectWrongly(ctx context.Context, address string) error {
	conn, err := attackers.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetLinger(0) // else the machine runs out of ports
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET /ws?warehouse=warehouse-1 HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\n\r\n", address, wrongToken()); err != nil {
		return err
	}
	// No more is read than tells the answer: an attacker shares the cores with the server.
	answer := make([]byte, len("HTTP/1.1 101"))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	switch status := string(answer[len("HTTP/1.1 "):]); status {
	case "101", "401":
		return nil
	default:
		return errors.New(status)
	}
}

// wrongToken is one whose signature is another's, so that it has to be checked.
var wrongToken = sync.OnceValue(func() string {
	head, _, _ := strings.Cut(token("stranger", "warehouse-1"), ".")
	_, rest, _ := strings.Cut(token("somebody", "warehouse-1"), ".")
	payload, signature, _ := strings.Cut(rest, ".")
	return head + "." + payload + "." + strings.ToUpper(signature)
})

// cpuTime returns what a process has used of the processors: proc_pid_stat(5), in ticks of 10 ms.
func cpuTime(t *testing.T, i *stack.Server) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", i.PID()))
	testkit.Must(t, err)
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	user, err := strconv.Atoi(f[11])
	testkit.Must(t, err)
	system, err := strconv.Atoi(f[12])
	testkit.Must(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}
