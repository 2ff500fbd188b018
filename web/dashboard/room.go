package dashboard

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The paths of the pages of rooms. TestPath and RetainedPath ask whether something is to be sent,
// or removed; what they post to themselves is for whoever mounts the dashboard to serve, and leads
// back to the room's [Room.Address].
const (
	WarehousePath = Prefix + "warehouses/" // and the name, maybe followed by /zones/ and a zone's
	TestPath      = Prefix + "test"
	RetainedPath  = Prefix + "retained"
)

// MaxTestText is the most characters of the text of a test.
const MaxTestText = 100

const (
	// roomClients is how many clients the page of a room lists, roomZones how many zones.
	roomClients, roomZones = 10, 200
	// shownData is how many characters of a message's data are shown.
	shownData = 160
)

// A RoomState is how a warehouse or a zone stands.
type RoomState struct {
	FanOut
	// Instances are those that answered, in the order of their names.
	Instances []RoomInstance
	// Zones are those of the warehouse that were published to.
	Zones []string
	// Quotas are those of the warehouse; none for a zone.
	Quotas []RoomQuota
	// Problem says why nothing is known of what follows; empty when it is.
	Problem string
	// Offset is that of the newest message; empty when there was never one.
	Offset   string
	Messages []RoomMessage // the newest first
	Retained []RoomMessage // in the order of their offsets
}

// A RoomQuota is how much of something a warehouse keeps, and may keep.
type RoomQuota struct {
	Name, Setting string
	Used, Limit   int // 0 for no limit
	Bytes         bool
}

// nearlyFull is the share of a quota from which it is marked.
const nearlyFull = 0.9

func (q RoomQuota) amount(n int) string {
	if q.Bytes {
		return size(int64(n))
	}
	return grouped(int64(n))
}

// limitText is how much is permitted.
func (q RoomQuota) limitText() string {
	if q.Limit == 0 {
		return "no limit"
	}
	return q.amount(q.Limit)
}

// share is that of the limit, in percent and for the eye.
func (q RoomQuota) share() string {
	if q.Limit == 0 {
		return ""
	}
	percent := float64(q.Used) / float64(q.Limit) * 100
	if percent > 0 && percent < 1 {
		return "under 1 %"
	}
	return strconv.FormatFloat(percent, 'f', 0, 64) + " %"
}

func (q RoomQuota) isNearlyFull() bool {
	return q.Limit > 0 && float64(q.Used) >= nearlyFull*float64(q.Limit)
}

// A RoomInstance is how a room stands at one instance.
type RoomInstance struct {
	Name    string
	Members int
	Offset  string // of the last message that they were given; empty for no members
}

// A RoomMessage is one that was published. Its texts may be anybody's.
type RoomMessage struct {
	Offset, Event string
	Time          time.Time
	Data          string
}

// dataText is the beginning of the data.
func (m RoomMessage) dataText() string {
	data := strings.ToValidUTF8(m.Data[:min(len(m.Data), 4*shownData)], "")
	text := []rune(data)
	if len(text) <= shownData && len(data) == len(m.Data) {
		return data
	}
	return string(text[:min(len(text), shownData)]) + "…"
}

// Address is the page of the room.
func (r Room) Address() string {
	at := WarehousePath + url.PathEscape(r.Warehouse)
	if r.Zone != "" {
		at += "/zones/" + url.PathEscape(r.Zone)
	}
	return at
}

// SentAddress is the page of the room, which says who has the test of this offset.
func (r Room) SentAddress(offset string) string {
	return withQuery(r.Address(), url.Values{"sent": {offset}})
}

func (r Room) values() url.Values {
	values := url.Values{"warehouse": {r.Warehouse}}
	if r.Zone != "" {
		values.Set("zone", r.Zone)
	}
	return values
}

func (r Room) clientsAddress() string { return withQuery(ClientsPath, r.values()) }
func (r Room) closedAddress() string  { return withQuery(ClosedPath, r.values()) }
func (r Room) testAddress() string    { return withQuery(TestPath, r.values()) }

func (r Room) screen() string {
	at := "/screen/" + url.PathEscape(r.Warehouse)
	if r.Zone != "" {
		at += "/" + url.PathEscape(r.Zone)
	}
	return at
}

func (r Room) removeAddress(event string) string {
	values := r.values()
	values.Set("event", event)
	return withQuery(RetainedPath, values)
}

// name is "zone-a in warehouse-1", or "warehouse-1".
func (r Room) name() string {
	if r.Zone != "" {
		return r.Zone + " in " + r.Warehouse
	}
	return r.Warehouse
}

// A roomView is the page of a warehouse or a zone.
type roomView struct {
	RoomState
	room    Room
	clients clientsView
	zones   []roomRow // of a warehouse
	sent    string    // the offset of a test that was sent a moment ago
	shown   []string  // the clients that the page began with
	viewer  Viewer
	pages   []pageLink
	verdict verdict
	now     time.Time
	problem string
}

func (d *Dashboard) addRooms() {
	if d.opts.Room == nil || d.opts.Clients == nil {
		return
	}
	for _, path := range []string{WarehousePath + "{warehouse}", WarehousePath + "{warehouse}/zones/{zone}"} {
		d.mux.HandleFunc("GET "+path, d.serveRoom)
		d.mux.HandleFunc("GET "+path+"/events", func(w http.ResponseWriter, r *http.Request) {
			if !d.opts.Viewer(r).mayView(r.PathValue("warehouse")) {
				http.Error(w, "this warehouse is not yours", http.StatusForbidden)
				return
			}
			d.stream(w, r, d.feedKey(r), d.loadRoom(r))
		})
	}
	d.mux.HandleFunc("GET "+TestPath, d.serveTest)
	d.mux.HandleFunc("GET "+RetainedPath, d.serveRemove)
}

func (d *Dashboard) serveRoom(w http.ResponseWriter, r *http.Request) {
	room := Room{r.PathValue("warehouse"), r.PathValue("zone")}
	v := d.newRoomView(r, room)
	if !v.viewer.mayView(room.Warehouse) {
		v.problem = "This warehouse is not yours: your account is for " + strings.Join(v.viewer.Warehouses, ", ") + "."
		d.write(w, r, http.StatusForbidden, roomPage(v))
		return
	}
	d.fillRoom(r.Context(), &v, nil)
	for _, c := range v.clients.Clients {
		v.shown = append(v.shown, c.ID)
	}
	v.clients.shown = v.shown
	status := http.StatusOK
	switch {
	case v.problem != "":
		status = http.StatusServiceUnavailable
	case v.unknown():
		status = http.StatusNotFound
	}
	d.write(w, r, status, roomPage(v))
}

func (d *Dashboard) loadRoom(r *http.Request) loader {
	var show []string
	if text := r.URL.Query().Get("show"); text != "" {
		show = strings.Split(text, ",")
		show = show[:min(len(show), roomClients)]
	}
	return func(ctx context.Context) ([]section, <-chan struct{}) {
		next := tick()
		v := d.newRoomView(r, Room{r.PathValue("warehouse"), r.PathValue("zone")})
		d.fillRoom(ctx, &v, show)
		v.shown, v.clients.shown = show, show
		return []section{{"asof", asOf(v.now, uint64(v.now.UnixMilli()))}, {"verdict", verdictLine(v.verdict)},
			{"partial", partialNotice(v.FanOut, v.problem)}, {"room", roomFigures(v)}, {"clients", clients(v.clients)},
			{"messages", roomMessages(v)}}, next
	}
}

func (d *Dashboard) newRoomView(r *http.Request, room Room) roomView {
	viewer, f := d.opts.Viewer(r), d.latest.Load()
	v := roomView{room: room, viewer: viewer, pages: d.opts.pages(), verdict: f.verdict, now: time.Now(), sent: parameter(r.URL.Query(), "sent")}
	v.clients = clientsView{query: ClientQuery{Warehouse: room.Warehouse, Zone: room.Zone, Limit: roomClients}, viewer: viewer, now: v.now,
		none: "Nobody is connected to it."}
	return v
}

// fillRoom asks how the room stands and who is in it, at the same time. show are the clients that
// the page began with; nil asks for the first.
func (d *Dashboard) fillRoom(ctx context.Context, v *roomView, show []string) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var listing sync.WaitGroup
	listing.Go(func() {
		query := v.clients.query
		query.Show = show
		var err error
		if v.clients.ClientPage, err = d.opts.Clients(ctx, query); err != nil {
			v.clients.problem = err.Error()
		}
	})
	var err error
	if v.RoomState, err = d.opts.Room(ctx, v.room); err != nil {
		v.problem = err.Error()
	}
	listing.Wait()
	if v.room.Zone == "" {
		v.zones = zoneRows(v.room.Warehouse, d.latest.Load().Zones, v.RoomState.Zones)
	}
}

// zoneRows are the zones of a warehouse that somebody is in, and those that were published to.
func zoneRows(warehouse string, connected []Zone, published []string) (rows []roomRow) {
	counts := map[string]int{}
	for _, name := range published {
		counts[name] = 0
	}
	for _, z := range connected {
		if z.Warehouse == warehouse {
			counts[z.Name] = z.Connections
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(counts), natural) {
		rows = append(rows, roomRow{Warehouse: warehouse, Zone: name, Connections: counts[name]})
	}
	return withShares(rows)
}

// members is how many clients get what is published now.
func (v roomView) members() (n int) {
	for _, i := range v.Instances {
		n += i.Members
	}
	return n
}

// unknown reports whether nobody was ever here, as far as anyone knows.
func (v roomView) unknown() bool {
	return v.problem == "" && v.Problem == "" && v.Complete() && v.members() == 0 && v.Offset == "" && len(v.zones) == 0 && len(v.Retained) == 0
}

// others are zones that are there, for a name that is not.
func (v roomView) others() []Room {
	var all []Room
	for _, name := range v.RoomState.Zones[:min(len(v.RoomState.Zones), maxRecentRows)] {
		all = append(all, Room{v.room.Warehouse, name})
	}
	return all
}

// number is the number of an offset, and its epoch.
func number(offset string) (epoch string, n uint64) {
	at := strings.LastIndexByte(offset, '-')
	if at < 0 {
		return "", 0
	}
	if _, err := fmt.Sscan(offset[at+1:], &n); err != nil {
		return "", 0
	}
	return offset[:at], n
}

// has reports whether the members of an instance were given the message of an offset.
func (i RoomInstance) has(offset string) bool {
	epoch, n := number(offset)
	at, newest := number(i.Offset)
	return at != "" && at == epoch && newest >= n
}

// sentText says who has the test; empty when none was sent.
func (v roomView) sentText() string {
	if _, n := number(v.sent); n == 0 {
		return ""
	}
	took := 0
	for _, i := range v.Instances {
		if i.Members > 0 && i.has(v.sent) {
			took++
		}
	}
	return fmt.Sprintf("The test was accepted with the offset %s. %d of %s with clients of it passed it on.", v.sent, took, plural(v.with(), "instance"))
}

// behindText says how far the members of an instance are behind the newest message.
func (v roomView) behindText(i RoomInstance) string {
	epoch, newest := number(v.Offset)
	at, n := number(i.Offset)
	switch {
	case i.Members == 0 || v.Offset == "":
		return ""
	case at != epoch:
		return "at an earlier epoch"
	case n >= newest:
		return "up to date"
	}
	return plural(int(newest-n), "message") + " behind"
}

func (v roomView) lastText() string {
	if len(v.Messages) == 0 {
		return ""
	}
	at := v.Messages[0].Time
	return moment(at) + " UTC, " + span(v.now.Sub(at)) + " ago"
}

// recentText says how many of the messages that are listed came in the last minute.
func (v roomView) recentText() string {
	n := 0
	for _, m := range v.Messages {
		if v.now.Sub(m.Time) < time.Minute {
			n++
		}
	}
	if _, newest := number(v.Offset); n > 0 && n == len(v.Messages) && uint64(n) < newest { // the list ends before the minute
		return plural(n, "message") + " or more"
	}
	return plural(n, "message")
}

func (v roomView) layout() layout {
	l := layout{Path: WarehousePath, Title: v.room.name(), Pages: v.pages, Skip: "room", SkipText: "the figures", Self: v.room.Address(), Viewer: v.viewer}
	if v.viewer.mayView(v.room.Warehouse) && !v.unknown() {
		values := url.Values{}
		if len(v.shown) > 0 {
			values.Set("show", strings.Join(v.shown, ","))
		}
		if v.sent != "" {
			values.Set("sent", v.sent)
		}
		l.Stream = withQuery(v.room.Address()+"/events", values)
	}
	return l
}

// A roomQuestion asks before something is sent to a room, or removed from it.
type roomQuestion struct {
	roomView
	event    string
	retained []RoomMessage // of the event
	key      string        // of a test, so that it is sent once
	refusal  string        // why it can't be done
}

// askRoom begins a question about the room of an address. The status is that of a refusal.
func (d *Dashboard) askRoom(r *http.Request) (q roomQuestion, status int) {
	query := r.URL.Query()
	q.roomView = d.newRoomView(r, Room{parameter(query, "warehouse"), parameter(query, "zone")})
	switch {
	case q.room.Warehouse == "":
		q.refusal = "No warehouse is named: open its page, and choose there."
		return q, http.StatusBadRequest
	case !q.viewer.mayView(q.room.Warehouse) || !q.viewer.maySend(q.room.Warehouse):
		q.refusal = "Your role only lets you look. Ask an admin of this warehouse."
		return q, http.StatusForbidden
	}
	d.fillRoom(r.Context(), &q.roomView, nil)
	if q.refusal = cmp.Or(q.problem, q.Problem); q.refusal != "" {
		return q, http.StatusServiceUnavailable
	}
	return q, http.StatusOK
}

func (d *Dashboard) serveTest(w http.ResponseWriter, r *http.Request) {
	q, status := d.askRoom(r)
	q.key = rand.Text()
	d.write(w, r, status, testPage(q))
}

func (d *Dashboard) serveRemove(w http.ResponseWriter, r *http.Request) {
	q, status := d.askRoom(r)
	q.event = parameter(r.URL.Query(), "event")
	for _, m := range q.Retained {
		if m.Event == q.event {
			q.retained = append(q.retained, m)
		}
	}
	if q.refusal == "" && len(q.retained) == 0 {
		q.refusal, status = "Nothing is retained of this event any more.", http.StatusNotFound
	}
	d.write(w, r, status, removePage(q))
}

func (q roomQuestion) layout() layout {
	l := q.roomView.layout()
	l.Skip, l.SkipText, l.Stream = "confirm", "the question", ""
	return l
}

// with is how many instances have clients of the room.
func (v roomView) with() (n int) {
	for _, i := range v.Instances {
		if i.Members > 0 {
			n++
		}
	}
	return n
}
