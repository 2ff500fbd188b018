package settings

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/handshake"
	"github.com/zonecast/zonecast/loadtest/internal/schedule"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/threshold"
)

// The most that settings may ask for; more is a slip of the keyboard, not a plan.
const (
	maxConnections = 10_000_000
	maxPerSecond   = 10_000_000
	maxSpan        = 30 * 24 * time.Hour
	maxPublishers  = 10_000
	maxRooms       = 100_000
	maxWorkers     = 1000
	maxSources     = 65_536
)

// grace is how long after the end messages that are due still go out.
const grace = 2 * time.Second

// mistakes collects what is wrong with the settings.
type mistakes []error

func (m *mistakes) addf(format string, args ...any) { *m = append(*m, fmt.Errorf(format, args...)) }

func (m *mistakes) add(err error) {
	if err != nil {
		*m = append(*m, err)
	}
}

// plan checks everything and reports every mistake.
func (f *flags) plan() (Plan, error) {
	var wrong mistakes
	p := Plan{
		Scenario: f.Scenario, Protocol: f.Protocol, Transport: f.Transport, Deflate: f.Deflate,
		Connections: f.Connections, Rate: f.MsgPerSec, Duration: time.Duration(f.Duration), Zipf: f.Zipf,
		PublishAs: f.PublishAs, Publishers: f.Publishers, Batch: f.Batch, PublishKey: f.PublishKey, Token: f.Token, PayloadBytes: f.PayloadBytes,
		ConnectRate: f.ConnectRate, Settle: time.Duration(f.Settle), Grace: grace, Reconnect: time.Duration(f.Reconnect), MaxErrors: f.MaxErrors,
		StormBy: f.StormBy, Offline: time.Duration(f.Offline), Every: time.Duration(f.Every), ChurnRate: f.ChurnRate,
		SlowBytes: f.SlowBytes, RampFactor: f.RampFactor, Step: time.Duration(f.Step), Window: f.Window,
		Workers: f.Workers, WorkerAt: f.WorkerAt, ServerPIDs: f.ServerPID, MaxLag: time.Duration(f.MaxLag),
		JSONFile: f.JSON, CSVFile: f.CSV, HDRFile: f.HDR, HTMLFile: f.HTML,
	}
	f.rooms(&p, &wrong)
	f.numbers(&wrong)
	f.shares(&p, &wrong)
	f.protocol(&p, &wrong)
	f.urls(&p, &wrong)
	f.sources(&p, &wrong)
	f.workers(&p, &wrong)
	f.thresholds(&p, &wrong)
	f.combinations(&p, &wrong)
	if !p.Publishes() {
		p.Publishers = 0
	}
	return p, errors.Join(wrong...)
}

// rooms names all rooms of the run.
func (f *flags) rooms(p *Plan, wrong *mistakes) {
	if _, err := wire.NewRoom(f.Warehouse, f.Zone); err != nil {
		wrong.add(err)
		return
	}
	if f.Warehouses < 1 || f.Zones < 1 || f.Warehouses > maxRooms || f.Zones > maxRooms || f.Warehouses*f.Zones > maxRooms {
		wrong.addf("--warehouses (WAREHOUSES) is %d and --zones (ZONES) %d: give numbers above 0 that make at most %d rooms",
			f.Warehouses, f.Zones, maxRooms)
		return
	}
	if f.Zone == "" && f.Zones > 1 {
		wrong.addf("--zones (ZONES) is %d, but --zone (ZONE) is empty: name the first zone, like zone-a", f.Zones)
	}
	for w := range f.Warehouses {
		for z := range f.Zones {
			zone := ""
			if f.Zone != "" {
				zone = countOn(f.Zone, z)
			}
			room, err := wire.NewRoom(countOn(f.Warehouse, w), zone)
			if err != nil {
				wrong.add(err)
				return
			}
			p.Rooms = append(p.Rooms, room.String())
		}
	}
}

// countOn returns the ith name after one: warehouse-2 after warehouse-1, zone-b after zone-a, hall-1 after hall.
func countOn(name string, i int) string {
	if i == 0 {
		return name
	}
	digits := len(name)
	for digits > 0 && name[digits-1] >= '0' && name[digits-1] <= '9' && len(name)-digits < 9 {
		digits--
	}
	if n, err := strconv.Atoi(name[digits:]); err == nil {
		return name[:digits] + strconv.Itoa(n+i)
	}
	if n := len(name); n > 1 && name[n-2] == '-' && name[n-1] >= 'a' && name[n-1] <= 'z' {
		return name[:n-1] + letters(int(name[n-1]-'a')+i)
	}
	return name + "-" + strconv.Itoa(i)
}

// letters counts a, b … z, aa, ab …
func letters(n int) string {
	if n < 26 {
		return string(rune('a' + n))
	}
	return letters(n/26-1) + string(rune('a'+n%26))
}

func (f *flags) numbers(wrong *mistakes) {
	for _, n := range []struct {
		name        string
		value       float64
		above, most float64
	}{
		{"connections (CONNECTIONS)", float64(f.Connections), 0, maxConnections},
		{"msg-per-sec (MSG_PER_SEC)", f.MsgPerSec, 0, maxPerSecond},
		{"publishers (PUBLISHERS)", float64(f.Publishers), 0, maxPublishers},
		{"batch (BATCH)", float64(f.Batch), 0, 1000},
		{"connect-rate (CONNECT_RATE)", f.ConnectRate, 0, maxPerSecond},
		{"churn-rate (CHURN_RATE)", f.ChurnRate, 0, maxPerSecond},
		{"slow-bytes (SLOW_BYTES)", float64(f.SlowBytes), 0, 1 << 30},
		{"ramp-factor (RAMP_FACTOR)", f.RampFactor, 1, 100},
		{"window (WINDOW)", float64(f.Window), 0, 1_000_000},
	} {
		if !(n.value > n.above && n.value <= n.most) {
			wrong.addf("--%s is %s: give a number above %.0f and up to %.0f", n.name, plain(n.value), n.above, n.most)
		}
	}
	for _, n := range []struct {
		name        string
		value, most float64
	}{{"zipf (ZIPF)", f.Zipf, 10}, {"workers (WORKERS)", float64(f.Workers), maxWorkers}} {
		if !(n.value >= 0 && n.value <= n.most) {
			wrong.addf("--%s is %s: give a number from 0 to %.0f", n.name, plain(n.value), n.most)
		}
	}
	for _, s := range []struct {
		name  string
		value span
	}{{"duration (DURATION)", f.Duration}, {"offline (OFFLINE)", f.Offline}, {"every (EVERY)", f.Every}, {"step (STEP)", f.Step},
		{"max-lag (MAX_LAG)", f.MaxLag}} {
		if d := time.Duration(s.value); d <= 0 || d > maxSpan {
			wrong.addf("--%s is %v: give a time above 0 and up to %v", s.name, d, maxSpan)
		}
	}
	for _, s := range []struct {
		name  string
		value span
	}{{"settle (SETTLE)", f.Settle}, {"reconnect (RECONNECT)", f.Reconnect}} {
		if d := time.Duration(s.value); d < 0 || d > maxSpan {
			wrong.addf("--%s is %v: give a time from 0 to %v", s.name, d, maxSpan)
		}
	}
	if f.PayloadBytes < stamp.MinBytes || f.PayloadBytes > stamp.MaxBytes {
		wrong.addf("--payload-bytes (PAYLOAD_BYTES) is %d: give %d to %d; the name of the run and the number of the message need that much",
			f.PayloadBytes, stamp.MinBytes, stamp.MaxBytes)
	}
}

// plain writes a number as people do.
func plain(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func (f *flags) shares(p *Plan, wrong *mistakes) {
	share := f.Share
	if share == "" {
		share = map[string]string{Slow: "10%"}[f.Scenario]
	}
	if share == "" {
		share = "100%"
	}
	var err error
	p.Share, err = percentage("share (SHARE)", share)
	wrong.add(err)
	p.EchoShare, err = percentage("echo-share (ECHO_SHARE)", f.EchoShare)
	wrong.add(err)
}

// percentage reads a share like 10% as 0.1.
func percentage(name, text string) (float64, error) {
	digits, ok := strings.CutSuffix(strings.TrimSpace(text), "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if !ok || err != nil || !(n > 0 && n <= 100) {
		return 0, fmt.Errorf("--%s is %q: give a percentage above 0%% and up to 100%%, like 10%%", name, text)
	}
	return n / 100, nil
}

// protocol checks what goes with the server's protocol.
func (f *flags) protocol(p *Plan, wrong *mistakes) {
	if f.Protocol == Zonecast {
		if f.Transport != WebSocket && f.Deflate {
			wrong.addf("--deflate (DEFLATE) is of WebSocket: leave it out with --transport %s", f.Transport)
		}
		return
	}
	if f.Transport != WebSocket {
		wrong.addf("--transport %s is Zonecast's: %s is spoken over websocket", f.Transport, f.Protocol)
	}
	if f.Scenario == Echo || f.Scenario == Mixed {
		wrong.addf("scenario %s needs an echo, which %s does not have: use scenario fanout", f.Scenario, f.Protocol)
	}
	p.PublishAs = AsClient
}

func (f *flags) sources(p *Plan, wrong *mistakes) {
	for _, text := range f.SourceAddress {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var addr netip.Addr
			if addr, err = netip.ParseAddr(text); err == nil {
				prefix = netip.PrefixFrom(addr, addr.BitLen())
			}
		}
		if err != nil {
			wrong.addf("--source-address (SOURCE_ADDRESS) %q is no address: write it like 127.0.0.5 or 10.0.0.8/29", text)
			continue
		}
		for addr := prefix.Masked().Addr(); prefix.Contains(addr) && len(p.Sources) < maxSources; addr = addr.Next() {
			p.Sources = append(p.Sources, addr)
		}
	}
}

// workers checks those on other machines. The token and the key go to them, so it must be known who they are.
func (f *flags) workers(p *Plan, wrong *mistakes) {
	var err error
	if p.WorkerKey, err = handshake.ReadKey(f.WorkerKey); err != nil {
		wrong.addf("--worker-key (WORKER_KEY): %w", err)
		return
	}
	for _, at := range f.WorkerAt {
		host, port, err := net.SplitHostPort(at)
		if err != nil || host == "" || port == "" {
			wrong.addf("--worker-at (WORKER_AT) %q is no address: write it like 10.0.0.2:7070", at)
			continue
		}
		if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback()) && !p.WorkerKey.Set() {
			wrong.addf("--worker-at (WORKER_AT) %q is on another machine: set WORKER_KEY (--worker-key) to the same secret here and there, "+
				"like that of: openssl rand -hex 32", at)
		}
	}
}

// unmeasured are the metrics, or families of them, of which a scenario has no figure whatever the server does.
var unmeasured = map[string][]string{
	Idle:  {"latency", "live", "completion", "publish", "lag", "sent", "delivered", "server.cpu"},
	Echo:  {"completion", "publish"},
	Churn: {"completion"},
	Flood: {"lag"},
	Ramp:  {"completion", "connect", "offline", "replay", "server"},
}

func (f *flags) thresholds(p *Plan, wrong *mistakes) {
	for _, text := range f.Threshold {
		t, err := threshold.Parse(text)
		if err != nil {
			wrong.add(err)
			continue
		}
		p.Thresholds = append(p.Thresholds, t)
		family, _, _ := strings.Cut(t.Metric(), ".")
		for _, never := range unmeasured[f.Scenario] {
			if never == t.Metric() || never == family {
				wrong.addf("threshold %q: scenario %s never measures %s, so it could not be met: take it away, or use another scenario",
					text, f.Scenario, never)
			}
		}
	}
}

// combinations checks what is right by itself and wrong together.
func (f *flags) combinations(p *Plan, wrong *mistakes) {
	if f.Connections > 0 && f.Connections < len(f.WSURL) {
		wrong.addf("%d connections can't be spread over %d WebSocket addresses: ask for at least %d, or name fewer addresses",
			f.Connections, len(f.WSURL), len(f.WSURL))
	}
	if total := math.Ceil(f.MsgPerSec * time.Duration(f.Duration).Seconds()); total >= schedule.MaxCount {
		wrong.addf("%s messages/s for %v are %.0f messages: a run holds less than %d, so lower --msg-per-sec or --duration",
			plain(f.MsgPerSec), time.Duration(f.Duration), total, uint64(schedule.MaxCount))
	}
	if !p.Publishes() && len(f.PublishURL) > 0 {
		wrong.addf("--publish-url (PUBLISH_URL) is set, but scenario %s publishes nothing: leave it out, or use scenario fanout", f.Scenario)
	}
	if f.Transport != WebSocket && f.Scenario == Flood {
		wrong.addf("scenario flood sends frames without waiting for answers, which --transport %s can't: use websocket", f.Transport)
	}
	if f.Scenario == Flood {
		p.PublishAs, p.PublishBases = AsClient, nil
	}
	if f.Batch > 1 && p.PublishAs == AsClient {
		wrong.addf("--batch (BATCH) is of the API, and clients publish one message in each frame: leave it out, or use --publish-as api")
	}
	if f.Scenario == Flaky && f.Offline >= f.Every {
		wrong.addf("--offline (OFFLINE) is %v of every %v: make it shorter than --every (EVERY)", time.Duration(f.Offline), time.Duration(f.Every))
	}
	if f.Scenario == Ramp && len(p.Thresholds) == 0 {
		wrong.addf("scenario ramp needs to know what must hold: give a --threshold, like latency.p99<250ms")
	}
	if !p.Publishes() || p.PublishAs == AsClient {
		p.PublishBases = nil
	}
}
