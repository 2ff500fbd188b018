package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// What a connection costs is told only when the growth of the memory can be of the connections;
// never as 0 because a server had memory to spare.
func TestServerCost(t *testing.T) {
	const mib = 1 << 20
	fresh := Server{Name: "a:1", MemoryBefore: 20 * mib, MemoryIdle: 30 * mib, OpenedBefore: 3, CPUSeconds: 6}
	for _, tt := range []struct {
		name    string
		members int
		give    []Server
		kib     float64
		unknown string
	}{
		{"a fresh server", 1024, []Server{fresh}, 10, ""},
		{"two of them", 2048, []Server{fresh, fresh}, 10, ""},
		{"a few connections before", 1024, []Server{{MemoryBefore: 20 * mib, MemoryIdle: 30 * mib, OpenedBefore: 51}}, 10, ""},
		{"a server that does not count its connections", 1024, []Server{{MemoryBefore: 20 * mib, MemoryIdle: 30 * mib}}, 10, ""},
		{"many connections before", 1024, []Server{{Name: "a:1", MemoryBefore: 20 * mib, MemoryIdle: 30 * mib, OpenedBefore: 1000}}, 0,
			"a:1 already had free memory from 1,000 earlier connections: restart it"},
		{"one of two had", 1024, []Server{fresh, {Name: "a:2", MemoryBefore: 30 * mib, MemoryIdle: 30 * mib}}, 0, "a:2 already had free memory: restart it"},
		{"memory that shrank", 1024, []Server{{Name: "process 7", MemoryBefore: 30 * mib, MemoryIdle: 20 * mib}}, 0, "process 7 already had free memory"},
		{"few connections", 10, []Server{{MemoryBefore: 20 * mib, MemoryIdle: 20*mib + 100<<10}}, 0, "use more connections"},
		{"nobody joined", 0, []Server{{MemoryBefore: 20 * mib, MemoryIdle: 30 * mib}}, 0, "use more connections"},
		{"a server that went away", 1024, []Server{{Name: "a:1", MemoryBefore: 20 * mib}}, 0, "the memory of a:1 could not be read with all connected"},
		{"none that may be read", 1024, nil, 0, "no server's memory could be read"},
	} {
		r := good()
		r.Connections.Joined, r.Servers = tt.members, tt.give
		c := r.ServerCost()
		m, _ := MetricByName("server.kib")
		value, ok := m.Value(r)
		if ok != (tt.unknown == "") || value != tt.kib || (c.KiBPerConnection == nil) == ok || !strings.Contains(m.Unknown(r), tt.unknown) || ok && c.KiBUnknown != "" {
			t.Errorf("%s: %v, %v, %+v", tt.name, value, ok, c)
		}
	}
}

// What is unknown is unknown in every form of the report.
func TestUnknownCostInEveryForm(t *testing.T) {
	r := good()
	r.Servers = []Server{{Name: "127.0.0.1:3001", MemoryBefore: 30 << 20, MemoryIdle: 30 << 20, MemoryPeak: 31 << 20, OpenedBefore: 2000, CPUSeconds: 6}}
	r.Cost = r.ServerCost()
	const why = "KiB a connection unknown: 127.0.0.1:3001 already had free memory from 2,000 earlier connections"
	var text, page, raw bytes.Buffer
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "1.00 µs of CPU a delivery, "+why) || strings.Contains(text.String(), "0.0 KiB") {
		t.Errorf("%v\n%s", err, text.String())
	}
	if err := r.WriteHTML(&page); err != nil || !strings.Contains(page.String(), why) || strings.Contains(page.String(), "0.0 KiB") {
		t.Errorf("%v: the page does not say %q", err, why)
	}
	if err := r.WriteJSON(&raw); err != nil {
		t.Fatal(err)
	}
	var fields struct{ ServerCost map[string]any }
	if err := json.Unmarshal(raw.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	if kib, there := fields.ServerCost["kibPerConnection"]; !there || kib != nil || fields.ServerCost["cpuMicrosPerDelivery"] != 1.0 {
		t.Errorf("%v", fields.ServerCost)
	}
}
