package settings

import (
	"cmp"
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
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/schedule"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
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

// Grace is how long after the end due messages still go out; changed by tests, for busy machines.
var Grace = 2 * time.Second

// mistakes collects what is wrong with the settings.
type mistakes []error

func (m *mistakes) addf(format string, args ...any) { *m = append(*m, fmt.Errorf(format, args...)) }

func (m *mistakes) add(err error) {
	if err != nil {
		*m = append(*m, err)
	}
}

// complete derives what Parse adds, checks everything and reports every mistake.
func (p *Plan) complete() error {
	var wrong mistakes
	p.Grace = Grace
	p.rooms(&wrong)
	p.numbers(&wrong)
	p.shares(&wrong)
	p.protocol(&wrong)
	p.urls(&wrong)
	p.certificates(&wrong)
	p.headers(&wrong)
	p.sources(&wrong)
	p.workers(&wrong)
	p.thresholds(&wrong)
	p.combinations(&wrong)
	if !p.Publishes() {
		p.Publishers = 0
	}
	return errors.Join(wrong...)
}

// rooms names all rooms of the run.
func (p *Plan) rooms(wrong *mistakes) {
	if _, err := wire.NewRoom(p.Warehouse, p.Zone); err != nil {
		wrong.add(err)
		return
	}
	if p.Warehouses < 1 || p.Zones < 1 || p.Warehouses > maxRooms || p.Zones > maxRooms || p.Warehouses*p.Zones > maxRooms {
		wrong.addf("--warehouses (WAREHOUSES) is %d and --zones (ZONES) %d: give numbers above 0 that make at most %d rooms",
			p.Warehouses, p.Zones, maxRooms)
		return
	}
	if p.Zone == "" && p.Zones > 1 {
		wrong.addf("--zones (ZONES) is %d, but --zone (ZONE) is empty: name the first zone, like zone-a", p.Zones)
	}
	for w := range p.Warehouses {
		for z := range p.Zones {
			zone := ""
			if p.Zone != "" {
				zone = nextName(p.Zone, z)
			}
			room, err := wire.NewRoom(nextName(p.Warehouse, w), zone)
			if err != nil {
				wrong.add(err)
				return
			}
			p.Rooms = append(p.Rooms, room.String())
		}
	}
}

// nextName counts on: warehouse-2 after warehouse-1, zone-b after zone-a, hall-1 after hall.
func nextName(name string, i int) string {
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

func (p *Plan) numbers(wrong *mistakes) {
	for _, n := range []struct {
		name        string
		value       float64
		above, most float64
	}{
		{"connections (CONNECTIONS)", float64(p.Connections), 0, maxConnections},
		{"msg-per-sec (MSG_PER_SEC)", p.Rate, 0, maxPerSecond},
		{"publishers (PUBLISHERS)", float64(p.Publishers), 0, maxPublishers},
		{"batch (BATCH)", float64(p.Batch), 0, 1000},
		{"connect-rate (CONNECT_RATE)", p.ConnectRate, 0, maxPerSecond},
		{"churn-rate (CHURN_RATE)", p.ChurnRate, 0, maxPerSecond},
		{"slow-bytes (SLOW_BYTES)", float64(p.SlowBytes), 0, 1 << 30},
		{"ramp-factor (RAMP_FACTOR)", p.RampFactor, 1, 100},
		{"ramp-max (RAMP_MAX)", p.RampMax, 0, maxPerSecond},
		{"window (WINDOW)", float64(p.Window), 0, 1_000_000},
	} {
		if !(n.value > n.above && n.value <= n.most) {
			wrong.addf("--%s is %s: give a number above %.0f and up to %.0f", n.name, formatNumber(n.value), n.above, n.most)
		}
	}
	for _, n := range []struct {
		name        string
		value, most float64
	}{{"zipf (ZIPF)", p.Zipf, 10}, {"workers (WORKERS)", float64(p.Workers), maxWorkers}} {
		if !(n.value >= 0 && n.value <= n.most) {
			wrong.addf("--%s is %s: give a number from 0 to %.0f", n.name, formatNumber(n.value), n.most)
		}
	}
	for _, s := range []struct {
		name  string
		value time.Duration
	}{{"duration (DURATION)", p.Duration}, {"offline (OFFLINE)", p.Offline}, {"every (EVERY)", p.Every}, {"step (STEP)", p.Step},
		{"max-lag (MAX_LAG)", p.MaxLag}} {
		if d := s.value; d <= 0 || d > maxSpan {
			wrong.addf("--%s is %v: give a time above 0 and up to %v", s.name, d, maxSpan)
		}
	}
	for _, s := range []struct {
		name  string
		value time.Duration
	}{{"settle (SETTLE)", p.Settle}, {"reconnect (RECONNECT)", p.Reconnect}} {
		if d := s.value; d < 0 || d > maxSpan {
			wrong.addf("--%s is %v: give a time from 0 to %v", s.name, d, maxSpan)
		}
	}
	if p.PayloadBytes < stamp.MinBytes || p.PayloadBytes > stamp.MaxBytes {
		wrong.addf("--payload-bytes (PAYLOAD_BYTES) is %d: give %d to %d; the name of the run and the number of the message need that much",
			p.PayloadBytes, stamp.MinBytes, stamp.MaxBytes)
	}
}

func formatNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func (p *Plan) shares(wrong *mistakes) {
	share := cmp.Or(p.ShareFlag, map[string]string{Slow: "10%"}[p.Scenario], "100%")
	var err error
	p.Share, err = percentage("share (SHARE)", share)
	wrong.add(err)
	p.EchoShare, err = percentage("echo-share (ECHO_SHARE)", p.EchoShareFlag)
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
func (p *Plan) protocol(wrong *mistakes) {
	if p.Protocol == Zonecast {
		if p.Transport != WebSocket && p.Deflate {
			wrong.addf("--deflate (DEFLATE) is of WebSocket: leave it out with --transport %s", p.Transport)
		}
		return
	}
	if p.HistoryFile != "" {
		wrong.addf("--history (HISTORY_FILE) needs offsets, which %s does not give: leave it out", p.Protocol)
	}
	if p.Transport != WebSocket {
		wrong.addf("--transport %s is Zonecast's: %s is spoken over websocket", p.Transport, p.Protocol)
	}
	if p.Scenario == Echo || p.Scenario == Mixed {
		wrong.addf("scenario %s needs an echo, which %s does not have: use scenario fanout", p.Scenario, p.Protocol)
	}
	p.PublishAs = AsClient
}

func (p *Plan) sources(wrong *mistakes) {
	for _, text := range p.SourceFlags {
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

// workers checks those on other machines, which get the token and so must be known.
func (p *Plan) workers(wrong *mistakes) {
	var err error
	if p.WorkerKey, err = handshake.ReadKey(p.WorkerKeyFlag); err != nil {
		wrong.addf("--worker-key (WORKER_KEY): %w", err)
		return
	}
	p.WorkerKeyFlag = "" // a plan that is printed does not give it away
	for _, at := range p.WorkerAt {
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

// unmeasured are the metrics, or families, of which a scenario has no figure in any case.
var unmeasured = map[string][]string{
	Idle:  {"latency", "live", "completion", "publish", "lag", "sent", "delivered", "server.cpu"},
	Echo:  {"completion", "publish"},
	Churn: {"completion"},
	Flood: {"lag"},
	Ramp:  {"completion", "connect", "offline", "replay", "server"},
}

func (p *Plan) thresholds(wrong *mistakes) {
	for _, text := range p.ThresholdFlags {
		t, err := report.ParseThreshold(text)
		if err != nil {
			wrong.add(err)
			continue
		}
		p.Thresholds = append(p.Thresholds, t)
		family, _, _ := strings.Cut(t.Metric(), ".")
		for _, never := range unmeasured[p.Scenario] {
			if never == t.Metric() || never == family {
				wrong.addf("threshold %q: scenario %s never measures %s, so it could not be met: take it away, or use another scenario",
					text, p.Scenario, never)
			}
		}
	}
}

// combinations checks what is right by itself and wrong together.
func (p *Plan) combinations(wrong *mistakes) {
	if p.Connections > 0 && p.Connections < len(p.WSURLs) {
		wrong.addf("%d connections can't be spread over %d WebSocket addresses: ask for at least %d, or name fewer addresses",
			p.Connections, len(p.WSURLs), len(p.WSURLs))
	}
	if total := math.Ceil(p.Rate * p.Duration.Seconds()); total >= schedule.MaxCount {
		wrong.addf("%s messages/s for %v are %.0f messages: a run holds less than %d, so lower --msg-per-sec or --duration",
			formatNumber(p.Rate), p.Duration, total, uint64(schedule.MaxCount))
	}
	if !p.Publishes() && len(p.PublishURLs) > 0 {
		wrong.addf("--publish-url (PUBLISH_URL) is set, but scenario %s publishes nothing: leave it out, or use scenario fanout", p.Scenario)
	}
	if p.Transport != WebSocket && p.Scenario == Flood {
		wrong.addf("scenario flood sends frames without waiting for answers, which --transport %s can't: use websocket", p.Transport)
	}
	if p.Scenario == Flood {
		p.PublishAs, p.PublishBases = AsClient, nil
	}
	if p.Batch > 1 && p.PublishAs == AsClient {
		wrong.addf("--batch (BATCH) is of the API, and clients publish one message in each frame: leave it out, or use --publish-as api")
	}
	if p.HistoryFile != "" && (p.Workers > 1 || len(p.WorkerAt) > 0) {
		wrong.addf("--history (HISTORY_FILE) is written by one process: leave --workers and --worker-at out")
	}
	if p.Scenario == Flaky && p.Offline >= p.Every {
		wrong.addf("--offline (OFFLINE) is %v of every %v: make it shorter than --every (EVERY)", p.Offline, p.Every)
	}
	if p.Scenario == Ramp && p.Rate > p.RampMax {
		wrong.addf("--ramp-max (RAMP_MAX) is %s, less than the %s of --msg-per-sec, where the ramp begins: raise it", formatNumber(p.RampMax), formatNumber(p.Rate))
	}
	if p.Scenario == Ramp && len(p.Thresholds) == 0 {
		wrong.addf("scenario ramp needs to know what must hold: give a --threshold, like latency.p99<250ms")
	}
	if !p.Publishes() || p.PublishAs == AsClient {
		p.PublishBases = nil
	}
}
