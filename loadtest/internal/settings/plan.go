package settings

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
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
)

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
		Scenario:     f.Scenario,
		Connections:  f.Connections,
		Rate:         f.MsgPerSec,
		Duration:     time.Duration(f.Duration),
		Publishers:   f.Publishers,
		PublishKey:   f.PublishKey,
		Token:        f.Token,
		PayloadBytes: f.PayloadBytes,
		ConnectRate:  f.ConnectRate,
		Settle:       time.Duration(f.Settle),
		Reconnect:    time.Duration(f.Reconnect),
		MaxErrors:    f.MaxErrors,
		JSONFile:     f.JSON,
	}
	var err error
	p.Room, err = wire.NewRoom(f.Warehouse, f.Zone)
	wrong.add(err)
	f.numbers(&wrong)
	f.urls(&p, &wrong)
	f.thresholds(&p, &wrong)
	f.combinations(&p, &wrong)
	return p, errors.Join(wrong...)
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
		{"connect-rate (CONNECT_RATE)", f.ConnectRate, 0, maxPerSecond},
	} {
		if !(n.value > n.above && n.value <= n.most) {
			wrong.addf("--%s is %v: give a number above %v and up to %.0f", n.name, n.value, n.above, n.most)
		}
	}
	if d := time.Duration(f.Duration); d <= 0 || d > maxSpan {
		wrong.addf("--duration (DURATION) is %v: give a time above 0 and up to %v", d, maxSpan)
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

func (f *flags) thresholds(p *Plan, wrong *mistakes) {
	for _, text := range f.Threshold {
		t, err := threshold.Parse(text)
		if err != nil {
			wrong.add(err)
			continue
		}
		p.Thresholds = append(p.Thresholds, t)
		if f.Scenario == Echo && strings.HasPrefix(t.Metric(), "publish.") {
			wrong.addf("threshold %q: scenario echo publishes nothing; use latency, or scenario fanout", text)
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
		wrong.addf("%v messages/s for %v are %.0f messages: a run holds less than %d, so lower --msg-per-sec or --duration",
			f.MsgPerSec, time.Duration(f.Duration), total, uint64(schedule.MaxCount))
	}
	if f.Scenario == Echo && len(f.PublishURL) > 0 {
		wrong.addf("--publish-url (PUBLISH_URL) is set, but scenario echo publishes nothing: leave it out, or use scenario fanout")
	}
	if f.Scenario == Echo {
		p.PublishBases = nil
	}
}
