package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
)

// When one of 1,000 stops reading, the other 999 get everything in order and keep their latency,
// until it is closed for it and beyond; it learns why, is counted once, and comes back for what it
// missed. The bound of time is far above noise, and far below what those have who wait for one that
// sleeps.
func TestOneOfAThousandWhoStopsReadingIsNotNoticed(t *testing.T) {
	const others, messages, queued = 999, 150, 256 << 10
	const zone, own = "thousand", "only-the-sleeper"
	// The members answer no pings.
	i := alone(t, map[string]string{"MAX_QUEUED_BYTES": strconv.Itoa(queued), "RATE_LIMIT_TOKENS": "0",
		"PONG_TIMEOUT": "5m"}).Instances[0]
	members := make([]*member, others)
	for k := range members {
		members[k] = follow(t, i.Address, zone)
	}
	var last wire.Offset
	pad := strings.Repeat("x", 4000)
	publish := func(zone, pad string) {
		at := send(t, i.URL, zone, fmt.Sprintf(`{"event":"E","data":{"sent":%d,"pad":%q}}`, time.Now().UnixNano(), pad))
		if zone == own {
			return
		}
		last = at
		time.Sleep(5 * time.Millisecond)
	}
	for range messages {
		publish(zone, pad)
	}
	before := p99(t, members, last.N)

	conn, in, err := upgrade(i.Address, "warehouse=warehouse-1&zone="+zone, "")
	testkit.Must(t, err)
	defer conn.Close()
	testkit.Must(t, conn.(*net.TCPConn).SetReadBuffer(128<<10))
	joinZone(t, conn, in, own)
	publish(zone, pad) // the last one that it gets
	waits := func() bool { return metric(t, i.URL, "zonecast_outbox_bytes") > 0 }
	// Until its socket is full for good: the kernel moves some of it on, every 200 ms.
	for full := false; !full; {
		publish(own, strings.Repeat("x", 30_000))
		if full = waits(); full {
			time.Sleep(500 * time.Millisecond)
			full = waits()
		}
	}
	dropped := `zonecast_messages_dropped_total{reason="slow_consumer"}`
	for deadline := time.Now().Add(2 * patience); metric(t, i.URL, dropped) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nothing was dropped for the one that sleeps")
		}
		for range 20 {
			publish(zone, pad)
		}
	}
	var had wire.Offset
	var waking sync.WaitGroup
	waking.Go(func() { // in time to be told
		defer conn.Close()
		var code wire.CloseCode
		var reason string
		if had, code, reason, err = readToTheEnd(conn, in); err != nil || code != wire.CloseSlowConsumer || !strings.Contains(reason, "resume") {
			t.Errorf("the one that slept was closed with %d %q %v, want %d and what to do", code, reason, err, wire.CloseSlowConsumer)
		}
	})
	for range messages {
		publish(zone, pad)
	}
	waking.Wait()
	after := p99(t, members, last.N)
	t.Logf("%d messages to each of %d; p99 %v, and with one of them asleep and thrown out %v", last.N, others, before, after)
	if after > 10*before+500*time.Millisecond {
		t.Errorf("p99 was %v, and is %v with one of a thousand asleep", before, after)
	}
	testkit.Succeeds(t, "it is counted once as slow", func() error {
		if n := metric(t, i.URL, `zonecast_connections_closed_total{code="slow_consumer",transport="websocket"}`); n != 1 {
			return fmt.Errorf("counted %v times", n)
		}
		return nil
	})

	if had.IsZero() || had.N >= last.N {
		t.Fatalf("it had %s of %s, so it missed nothing", had, last)
	}
	w := &watcher{addresses: []string{i.WebSocket()}, done: make(chan struct{}), last: had,
		subscribe: wire.Subscribe{Target: wire.Target{Warehouse: "warehouse-1", Zone: zone}}}
	w.running.Go(w.run)
	t.Cleanup(w.leave)
	w.want(t, "the one that slept", last, last.N-had.N)
}

// A member of a room keeps count, and how long each message took that says when it was sent. It
// reads as cheaply as a thousand of them in one process have to.
type member struct {
	got  atomic.Uint64
	mu   sync.Mutex
	took []time.Duration
}

// follow connects to the zone, and reads to the end of the test once it has joined. It fails when a
// number is missing.
func follow(t *testing.T, address, zone string) *member {
	t.Helper()
	conn, in, err := upgrade(address, "warehouse=warehouse-1&zone="+zone, "")
	testkit.Must(t, err)
	_, connected, err := testkit.ReadFrame(in, nil)
	if err != nil || !bytes.HasPrefix(connected, []byte(`{"event":"connected"`)) {
		t.Fatalf("the first frame is %q, %v", connected, err)
	}
	m := new(member)
	var reading sync.WaitGroup
	reading.Go(func() {
		var buf []byte
		for {
			h, p, err := testkit.ReadFrame(in, buf)
			if err != nil {
				return
			}
			if buf = p; h.Op == wsframe.Close {
				t.Errorf("a member was closed: %q", p)
				return
			}
			at, sent, ok := stamp(p)
			if !ok {
				continue
			}
			if at.N != m.got.Load()+1 {
				t.Errorf("a member got %s after number %d", at, m.got.Load())
				return
			}
			if !sent.IsZero() {
				m.mu.Lock()
				m.took = append(m.took, time.Since(sent))
				m.mu.Unlock()
			}
			m.got.Store(at.N)
		}
	})
	t.Cleanup(func() { conn.Close(); reading.Wait() })
	return m
}

// stamp returns the offset of a message, and when it was published if it says so.
func stamp(p []byte) (at wire.Offset, sent time.Time, ok bool) {
	if !bytes.HasPrefix(p, []byte(`{"event":"E"`)) {
		return at, sent, false
	}
	_, rest, _ := bytes.Cut(p[:min(len(p), 200)], []byte(`"offset":"`))
	offset, rest, _ := bytes.Cut(rest, []byte(`"`))
	_, rest, _ = bytes.Cut(rest, []byte(`"sent":`))
	nanos, _, _ := bytes.Cut(rest, []byte(`,`))
	if n, err := strconv.ParseInt(string(nanos), 10, 64); err == nil {
		sent = time.Unix(0, n)
	}
	at, err := wire.ParseOffset(string(offset))
	return at, sent, err == nil
}

// p99 waits until all members have got everything up to the number, and forgets how long it took.
func p99(t *testing.T, members []*member, last uint64) time.Duration {
	t.Helper()
	var all []time.Duration
	for i, m := range members {
		testkit.Succeeds(t, fmt.Sprintf("member %d has everything", i), func() error {
			if n := m.got.Load(); n != last {
				return fmt.Errorf("it has %d of %d", n, last)
			}
			return nil
		})
		m.mu.Lock()
		all = append(all, m.took...)
		m.took = m.took[:0]
		m.mu.Unlock()
	}
	slices.Sort(all)
	return all[len(all)*99/100]
}

// joinZone joins one room more, and waits for the answer.
func joinZone(t *testing.T, conn net.Conn, in *bufio.Reader, zone string) {
	t.Helper()
	text := fmt.Sprintf(`{"event":"subscribe","id":1,"data":{"warehouse":"warehouse-1","zone":%q}}`, zone)
	_, err := conn.Write(wsframe.AppendMasked(nil, wsframe.Text, [4]byte{}, []byte(text)))
	testkit.Must(t, err)
	for {
		_, p, err := testkit.ReadFrame(in, nil)
		testkit.Must(t, err)
		if bytes.HasPrefix(p, []byte(`{"event":"ack"`)) {
			return
		}
	}
}

// readToTheEnd reads what was on its way to a member, and returns the latest offset of the room of
// the thousand and the closing frame.
func readToTheEnd(conn net.Conn, in *bufio.Reader) (had wire.Offset, code wire.CloseCode, reason string, err error) {
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return had, 0, "", err
	}
	for {
		h, p, err := testkit.ReadFrame(in, nil)
		switch {
		case err != nil:
			return had, 0, "", err
		case h.Op == wsframe.Close:
			code, reason := wsframe.CloseReason(p)
			return had, wire.CloseCode(code), reason, nil
		case bytes.Contains(p[:min(len(p), 200)], []byte(`"zone:warehouse-1:thousand"`)):
			if at, _, ok := stamp(p); ok {
				had = at
			}
		}
	}
}
