package wire_test

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

// golden is testdata/golden.json, which holds the TypeScript client to the same frames.
type golden struct {
	Server []struct {
		Name, Text string
	}
	Client []struct {
		Name, Text, Event string
		ID                *int64
		Data              json.RawMessage
	}
	CloseCodes []struct {
		Code      uint16
		Name      string
		Reconnect bool
	}
	Rooms struct {
		Valid   []struct{ Text, Warehouse, Zone string }
		Invalid []string
	}
	Offsets struct {
		Valid []struct {
			Text, Epoch string
			N           uint64
		}
		Invalid []string
	}
	Cursors struct {
		Valid []struct {
			Text   string
			Places []struct{ Room, Offset string }
		}
		Invalid []string
	}
	Reserved []string
	Limits   struct {
		NameLength, EventLength int
		ReconnectBackoffCapMs   int64
	}
}

func readGolden(t testing.TB) golden {
	t.Helper()
	p, err := os.ReadFile("testdata/golden.json")
	must(t, err)
	var g golden
	must(t, json.Unmarshal(p, &g))
	return g
}

func TestGoldenServerFramesAreEncodedToTheByte(t *testing.T) {
	zoneA, _ := wire.NewRoom("warehouse-1", "zone-a")
	whole, _ := wire.NewRoom("warehouse-1", "")
	w, _ := wire.NewRoom("w", "")
	k := func(n uint64) wire.Offset { return wire.Offset{Epoch: "k3f9", N: n} }
	connected := wire.Connected{ConnectionID: "c-7Qm2", Rooms: []wire.Position{}, Heartbeat: 30000,
		ServerTime: 1767225600000, Node: "backend-1"}
	joined := connected
	joined.Rooms = []wire.Position{wire.PositionOf(whole, k(0)), wire.PositionOf(zoneA, k(17))}
	versioned := connected
	versioned.Protocol = wire.ProtocolVersion

	got := map[string][]byte{
		"connected":               wire.AppendFrame(nil, wire.EventConnected, joined),
		"connected without rooms": wire.AppendFrame(nil, wire.EventConnected, connected),
		"connected with the version of the protocol": wire.AppendFrame(nil, wire.EventConnected, versioned),
		"zone update": wire.AppendMessage(nil, &wire.Message{Room: zoneA, Event: wire.EventZoneUpdate, Offset: k(18),
			Time: 1767225600123, Data: json.RawMessage(`{"pickRate":1402,"unitsDone":5250}`)}),
		"retained": wire.AppendMessage(nil, &wire.Message{Room: zoneA, Event: wire.EventShiftSnapshot, Offset: k(9),
			Time: 1767225600045, Retained: true, Data: json.RawMessage(`{"zone":"zone-a"}`)}),
		"data keeps its bytes": wire.AppendMessage(nil, &wire.Message{Room: whole, Event: wire.EventAlert, Offset: k(1),
			Time: 1767225600123, Data: json.RawMessage("{ \"b\" : 1.0,\t\"a\":\"\\u00e9 <ü>\", \"b\":[] }")}),
		"null data": wire.AppendMessage(nil, &wire.Message{Room: w, Event: "PING_ALL",
			Offset: wire.Offset{Epoch: "0", N: 9007199254740993}}),
		"heartbeat": wire.AppendFrame(nil, wire.EventHeartbeat, wire.Heartbeat{Connections: 1247, Time: 1767225630000}),
		"gap": wire.AppendFrame(nil, wire.EventGap, wire.Gap{Room: zoneA.String(), From: k(18).String(),
			To: wire.Offset{Epoch: "m1x2", N: 4}.String()}),
		"gap that leads back": wire.AppendFrame(nil, wire.EventGap, wire.Gap{Room: zoneA.String(), From: k(9999).String(), To: k(6).String()}),
		"conflated": wire.AppendFrame(nil, wire.EventConflated, wire.Conflated{Room: zoneA.String(), From: k(18).String(),
			To: k(41).String()}),
		"drain":                     wire.AppendFrame(nil, wire.EventDrain, wire.Drain{RetryAfter: 1840}),
		"command for a wall screen": wire.AppendFrame(nil, wire.EventScreen, wire.Screen{Do: "show", Warehouse: "warehouse-1", Zone: "zone-a"}),
		"error without id": wire.AppendError(nil, 0, false,
			wire.Errorf(wire.CodeBadFrame, "the frame is not JSON")),
		"error with id and retryAfter": wire.AppendError(nil, 12, true, &wire.Error{Code: wire.CodeUnavailable,
			Message: "the broker is away: try again", RetryAfter: 1000}),
		"ack of subscribe":            wire.AppendAck(nil, 1, wire.PositionOf(zoneA, k(18))),
		"ack of unsubscribe":          wire.AppendAck(nil, 2, wire.PositionOf(zoneA, wire.Offset{})),
		"ack of echo keeps its bytes": wire.AppendAck(nil, -3, json.RawMessage(`[1, 2 ,{"x":null}]`)),
		"ack of echo without data":    wire.AppendAck(nil, 0, json.RawMessage(nil)),
		"ack of authenticate":         wire.AppendAck(nil, 4, wire.Authenticated{Expires: 1767229200000}),
	}
	g := readGolden(t)
	if len(g.Server) != len(got) {
		t.Errorf("golden.json has %d server frames, this test makes %d", len(g.Server), len(got))
	}
	for _, want := range g.Server {
		if string(got[want.Name]) != want.Text {
			t.Errorf("%s:\n got %s\nwant %s", want.Name, got[want.Name], want.Text)
		}
		if _, err := wire.DecodeServer([]byte(want.Text)); err != nil {
			t.Errorf("%s: DecodeServer: %v", want.Name, err)
		}
	}
}

func TestGoldenClientFramesAreDecoded(t *testing.T) {
	for _, want := range readGolden(t).Client {
		f, err := wire.DecodeClient([]byte(want.Text))
		if err != nil {
			t.Errorf("%s: %v", want.Name, err)
			continue
		}
		if f.Event != want.Event || f.HasID != (want.ID != nil) || f.HasID && f.ID != *want.ID {
			t.Errorf("%s: got %+v", want.Name, f)
		}
		if !sameJSON(t, f.Data, want.Data) {
			t.Errorf("%s: data is %s, want %s", want.Name, f.Data, want.Data)
		}
	}
}

func TestGoldenCloseCodes(t *testing.T) {
	g := readGolden(t).CloseCodes
	if len(g) != len(wire.CloseCodes()) {
		t.Fatalf("golden.json has %d close codes, the package %d", len(g), len(wire.CloseCodes()))
	}
	for i, c := range wire.CloseCodes() {
		if uint16(c) != g[i].Code || c.String() != g[i].Name || c.Reconnect() != g[i].Reconnect {
			t.Errorf("code %d %s reconnect %v, want %+v", c, c, c.Reconnect(), g[i])
		}
	}
}

func TestGoldenRooms(t *testing.T) {
	g := readGolden(t).Rooms
	for _, want := range g.Valid {
		r, err := wire.ParseRoom(want.Text)
		if err != nil || r.Warehouse != want.Warehouse || r.Zone != want.Zone || r.String() != want.Text {
			t.Errorf("ParseRoom(%q) = %+v %v, want %+v", want.Text, r, err, want)
		}
	}
	for _, give := range g.Invalid {
		if r, err := wire.ParseRoom(give); err == nil || wire.AsError(err).Code != wire.CodeInvalidRoom {
			t.Errorf("ParseRoom(%q) = %+v %v, want %s", give, r, err, wire.CodeInvalidRoom)
		}
	}
}

func TestGoldenOffsets(t *testing.T) {
	g := readGolden(t).Offsets
	for _, want := range g.Valid {
		o, err := wire.ParseOffset(want.Text)
		if err != nil || o.Epoch != want.Epoch || o.N != want.N || o.String() != want.Text {
			t.Errorf("ParseOffset(%q) = %+v %v, want %+v", want.Text, o, err, want)
		}
	}
	for _, give := range g.Invalid {
		if o, err := wire.ParseOffset(give); err == nil || wire.AsError(err).Code != wire.CodeInvalidOffset {
			t.Errorf("ParseOffset(%q) = %+v %v, want %s", give, o, err, wire.CodeInvalidOffset)
		}
	}
}

func TestGoldenCursors(t *testing.T) {
	g := readGolden(t).Cursors
	for _, want := range g.Valid {
		c, err := wire.ParseCursor(want.Text)
		if err != nil || c.String() != want.Text || len(c) != len(want.Places) {
			t.Errorf("ParseCursor(%q) = %v %v, want %+v", want.Text, c, err, want.Places)
			continue
		}
		for i, p := range want.Places {
			if c[i].Room.String() != p.Room || c[i].Offset.String() != p.Offset {
				t.Errorf("place %d of %q is %+v, want %+v", i, want.Text, c[i], p)
			}
		}
	}
	for _, give := range g.Invalid {
		if c, err := wire.ParseCursor(give); err == nil || wire.AsError(err).Code != wire.CodeInvalidOffset {
			t.Errorf("ParseCursor(%q) = %v %v, want %s", give, c, err, wire.CodeInvalidOffset)
		}
	}
}

func TestGoldenLimitsAndReservedNames(t *testing.T) {
	g := readGolden(t)
	if g.Limits.NameLength != wire.MaxNameLen || g.Limits.EventLength != wire.MaxEventLen ||
		g.Limits.ReconnectBackoffCapMs != wire.ReconnectBackoffCap.Milliseconds() {
		t.Errorf("golden limits %+v are not the package's", g.Limits)
	}
	for _, name := range g.Reserved {
		if err := wire.CheckEvent(name); err == nil || wire.AsError(err).Code != wire.CodeInvalidEvent {
			t.Errorf("CheckEvent(%q) = %v, want it refused", name, err)
		}
	}
}

func sameJSON(t *testing.T, a, b json.RawMessage) bool {
	t.Helper()
	var x, y any
	for p, v := range map[*any]json.RawMessage{&x: a, &y: b} {
		if v == nil {
			continue
		}
		must(t, json.Unmarshal(v, p))
	}
	return reflect.DeepEqual(x, y)
}
