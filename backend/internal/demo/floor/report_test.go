package floor

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// TestGolden holds the data of the events, made from a floor of known numbers, to
// testdata/golden.json.
func TestGolden(t *testing.T) {
	start := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	now := start.Add(3*time.Hour + 40*time.Minute)
	raised := Alert{ID: "wh1-a-0007", Severity: Critical, Title: "Conveyor 3 stopped", Detail: "Jam at the merge.",
		RaisedAt: now.Add(-3 * time.Minute).UnixMilli()}
	cleared := raised
	cleared.ClearedAt = now.Add(6 * time.Minute).UnixMilli()
	zone := &Zone{plan: &plans[0].zones[0], shift: shiftAt(now), now: now, workers: 12, done: 5233.9, rate: 1390.4,
		backlog: 87*12 - 3}
	building := &Warehouse{plan: &plans[0], zones: []*Zone{zone}}
	got := map[string]any{
		"SHIFT_SNAPSHOT of a warehouse": building.Snapshot(),
		"ZONE_UPDATE":                   zone.Update(),
		"ALERT raised":                  raised,
		"ALERT cleared":                 cleared,
	}
	zone.incidents.open = []incident{{alert: raised}}
	got["SHIFT_SNAPSHOT of a zone"] = zone.Snapshot()

	file, err := os.ReadFile("testdata/golden.json")
	testkit.Must(t, err)
	var golden map[string]json.RawMessage
	testkit.Must(t, json.Unmarshal(file, &golden))
	for name, want := range golden {
		var compact bytes.Buffer
		testkit.Must(t, json.Compact(&compact, want))
		if data := encode(t, got[name]); data != compact.String() {
			t.Errorf("%s:\n%s\nwant\n%s", name, data, compact.String())
		}
	}
	if len(golden) != len(got) {
		t.Errorf("the golden file has %d events, the test %d", len(golden), len(got))
	}
}
