package poll_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/poll"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// A server has the transport under test.
type server struct {
	*transporttest.Server
	t testing.TB
}

func start(t testing.TB, o transporttest.Options) *server {
	t.Helper()
	o.Transport = transport.Poll
	o.Routes = func(e *echo.Echo, gate *transport.Gate, pool *outbox.Pool) {
		gate.AddRoutes(transporttest.Routes(e), "/poll", transport.Poll, poll.New(gate, pool).Serve)
	}
	return &server{transporttest.Start(t, o), t}
}

var zone = transporttest.Zone

// An answer is that of a poll.
type answer struct {
	Cursor     string
	Messages   []json.RawMessage
	Node       string
	ServerTime int64
	Protocol   int
	RetryAfter int64

	status int
	header http.Header
	body   string
	frames []wire.ServerFrame
}

// numbers are the numbers of the messages in an answer.
func (a answer) numbers() (all []uint64) {
	for _, f := range a.frames {
		if at, err := wire.ParseOffset(f.Offset); err == nil {
			all = append(all, at.N)
		}
	}
	return all
}

// ask polls; the answer may be any.
func (s *server) ask(through *http.Client, query string, header ...string) (a answer) {
	s.t.Helper()
	response, err := s.Get(through, "/poll?"+query, header...)
	if err != nil {
		s.t.Errorf("poll: %v", err)
		return a
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Errorf("poll: %v", err)
	}
	a.status, a.header, a.body = response.StatusCode, response.Header, string(body)
	if a.status == http.StatusOK {
		if err := json.Unmarshal(body, &a); err != nil || a.Messages == nil || a.Node != "node-1" || a.ServerTime == 0 || a.Protocol != wire.ProtocolVersion {
			s.t.Errorf("answered %s: %v", body, err)
		}
		for _, m := range a.Messages {
			f, err := wire.DecodeServer(m)
			if err != nil {
				s.t.Errorf("%s: %v", m, err)
			}
			a.frames = append(a.frames, f)
		}
	}
	return a
}

// poll polls with a cursor, and must get an answer.
func (s *server) poll(cursor, more string) answer {
	s.t.Helper()
	a := s.ask(http.DefaultClient, "cursor="+url.QueryEscape(cursor)+"&"+more)
	if a.status != http.StatusOK {
		s.t.Fatalf("answered %d: %s", a.status, a.body)
	}
	return a
}

func TestAPollWithoutACursorAnswersAtOnceWithWhatIsRetained(t *testing.T) {
	for name, through := range transporttest.Over {
		t.Run(name, func(t *testing.T) {
			s := start(t, transporttest.Options{})
			s.Send(broker.Publication{Room: zone, Event: wire.EventShiftSnapshot, Data: []byte(`{ "a": 1 }`), Retain: true})
			at := s.Publish(zone, "ZONE_UPDATE", "1")
			a := s.ask(through, "warehouse=w1&zone=a")
			if len(a.frames) != 1 || !a.frames[0].Retained || string(a.frames[0].Data) != `{ "a": 1 }` {
				t.Errorf("answered %s", a.body)
			}
			if !strings.HasSuffix(a.Cursor, ",zone:w1:a@"+at.String()) || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("the cursor is %q, the header %v", a.Cursor, a.header)
			}
			if none := s.ask(through, ""); none.status != 200 || none.Cursor != "" || len(none.frames) != 0 {
				t.Errorf("without a room: %d %s", none.status, none.body)
			}
		})
	}
}

// A poll whose client has not got the retained events says so, and is answered with them.
func TestRetainedEventsThatAnotherTransportStillOwedComeWithThePoll(t *testing.T) {
	s := start(t, transporttest.Options{})
	s.Send(broker.Publication{Room: zone, Event: wire.EventShiftSnapshot, Data: []byte(`1`), Retain: true})
	at := s.Publish(zone, "ZONE_UPDATE", "2")
	a := s.poll("zone:w1:a@"+at.String()+".retained", "")
	if len(a.frames) != 1 || !a.frames[0].Retained || a.Cursor != "zone:w1:a@"+at.String() {
		t.Errorf("answered %s", a.body)
	}
}

func TestAPollAnswersWithWhatWasMissedElseWithWhatComesElseAfterItsWait(t *testing.T) {
	for name, through := range transporttest.Over {
		t.Run(name, func(t *testing.T) {
			s := start(t, transporttest.Options{Heartbeat: 200 * time.Millisecond}) // heartbeats are no news
			cursor := s.ask(through, "warehouse=w1&zone=a").Cursor
			s.Publish(zone, "ZONE_UPDATE", "1")
			s.Publish(zone, "ZONE_UPDATE", "2")
			missed := s.ask(through, "cursor="+cursor)
			if fmt.Sprint(missed.numbers()) != "[1 2]" || !strings.HasSuffix(missed.Cursor, "-2") {
				t.Errorf("missed: answered %s", missed.body)
			}
			var coming answer
			var polling sync.WaitGroup
			polling.Go(func() { coming = s.ask(through, "cursor="+missed.Cursor) })
			testkit.Eventually(t, "the poll waits", func() bool { return s.Hub.Counts().Zones[zone] == 1 })
			if sessions := s.Hub.Sessions(); len(sessions) != 1 || sessions[0].Queue.Transport() != "poll" {
				t.Errorf("the sessions are %v", sessions)
			}
			s.Publish(zone, "ZONE_UPDATE", "3")
			polling.Wait()
			if fmt.Sprint(coming.numbers()) != "[3]" {
				t.Errorf("coming: answered %s", coming.body)
			}
			began := time.Now()
			none := s.ask(through, "wait=300&cursor="+coming.Cursor)
			if took := time.Since(began); took < 300*time.Millisecond || none.Cursor != coming.Cursor || len(none.frames) != 0 || !strings.Contains(none.body, `"messages":[]`) {
				t.Errorf("none: answered %s after %v", none.body, took)
			}
			s.WantClosed(wire.CloseGoingAway, s.Counter("zonecast_connections_opened_total", "transport=poll"))
			s.WantCount(3, "zonecast_messages_delivered_total", "transport=poll")
		})
	}
}

// A client that polls while messages flow at full rate gets each one once, in order.
func TestPollsOneAfterTheOtherGetEachMessageOnce(t *testing.T) {
	s := start(t, transporttest.Options{Linger: time.Second, Queued: 64 << 10})
	const messages, publishers = 4000, 4
	a := s.ask(http.DefaultClient, "warehouse=w1&zone=a")
	var publishing sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() {
			for n := range messages / publishers {
				s.Publish(zone, "ZONE_UPDATE", fmt.Sprintf(`"%d %d %s"`, p, n, strings.Repeat("x", 200)))
			}
		})
	}
	next, polls := uint64(1), 0
	for next <= messages {
		a = s.poll(a.Cursor, "")
		if len(a.body) > 32<<10 {
			t.Fatalf("an answer of %d bytes", len(a.body))
		}
		for _, n := range a.numbers() {
			if n != next {
				t.Fatalf("poll %d brought number %d, want %d", polls, n, next)
			}
			next++
		}
		polls++
	}
	publishing.Wait()
	t.Logf("%d messages in %d polls", messages, polls)
	s.WantCount(0, "zonecast_gaps_total")
}

func TestAForgedCursorIsAnsweredWithAGap(t *testing.T) {
	s := start(t, transporttest.Options{})
	at := s.Publish(zone, "ZONE_UPDATE", "1")
	for _, forged := range []string{"zone:w1:a@forged-5", fmt.Sprintf("zone:w1:a@%s-9999", at.Epoch)} {
		a := s.poll(forged, "")
		if len(a.frames) == 0 || a.frames[0].Event != wire.EventGap {
			t.Errorf("%s: answered %s", forged, a.body)
		}
		for a.Cursor != "zone:w1:a@"+at.String() { // the rest may come with the next one
			a = s.poll(a.Cursor, "wait=0")
		}
		if b := s.poll(a.Cursor, "wait=0"); len(b.frames) != 0 || b.Cursor != a.Cursor {
			t.Errorf("after it: answered %s", b.body)
		}
	}
}

// A room that is new to the client is joined beside those that it knows, and what is retained there
// is not crowded out by what it missed elsewhere.
func TestANewRoomBesideALongReplay(t *testing.T) {
	s := start(t, transporttest.Options{Queued: 64 << 10})
	other := wire.Room{Warehouse: "w1"}
	s.Send(broker.Publication{Room: other, Event: wire.EventShiftSnapshot, Data: []byte(`"kept"`), Retain: true})
	var at wire.Offset
	for range 100 {
		at = s.Publish(zone, "ZONE_UPDATE", `"`+strings.Repeat("x", 2000)+`"`)
	}
	a := s.poll("zone:w1:a@"+at.Epoch+"-0", "room=warehouse:w1")
	if !a.frames[0].Retained || !strings.HasPrefix(a.Cursor, "warehouse:w1@") {
		t.Errorf("answered %.200s", a.body)
	}
	got := a.numbers()[1:]
	for len(got) < 100 {
		a = s.poll(a.Cursor, "")
		got = append(got, a.numbers()...)
	}
	for i, n := range got {
		if n != uint64(i+1) {
			t.Fatalf("number %d came at place %d", n, i)
		}
	}
}

// However many retained events there are, the first poll is answered with all of them, in parts;
// and so is the next one of a client that got only some.
func TestRetainedEventsThatDoNotFitIntoAnAnswerComeInParts(t *testing.T) {
	for name, through := range transporttest.Over {
		t.Run(name, func(t *testing.T) {
			const kept = 200
			s := start(t, transporttest.Options{Queued: 64 << 10, Limits: transport.Limits{}})
			for n := range kept {
				s.Send(broker.Publication{Room: zone, Event: wire.EventAlert, Data: fmt.Appendf(nil, `{"id":%d,"detail":%q}`, n, strings.Repeat("x", 6000)),
					Retain: true})
			}
			at, cursor := s.Publish(zone, "ZONE_UPDATE", "1"), ""
			for _, query := range []string{"warehouse=w1&zone=a", "cursor=zone:w1:a@" + at.String() + ".retained"} {
				a := s.ask(through, query)
				if a.status != http.StatusOK || len(a.frames) != kept || strings.Contains(a.Cursor, ".retained") || a.Node == "" {
					t.Fatalf("%s is answered with %d, %d retained events and the cursor %q; want all %d", query, a.status, len(a.frames), a.Cursor, kept)
				}
				for n, f := range a.frames {
					if want := fmt.Sprintf(`{"id":%d,`, n); !f.Retained || !strings.HasPrefix(string(f.Data), want) {
						t.Fatalf("event %d is %.60s, want %s", n, f.Data, want)
					}
				}
				cursor = a.Cursor
			}
			next := s.Publish(zone, "ZONE_UPDATE", "2")
			if b := s.ask(through, "cursor="+cursor); len(b.frames) != 1 || b.frames[0].Offset != next.String() {
				t.Errorf("the next poll is answered with %.200s, want what was published since", b.body)
			}
		})
	}
}

func TestPollsAreRefusedAsProblems(t *testing.T) {
	tests := []struct {
		name, query string
		broken      bool
		limits      transport.Limits
		want        int
		code        string
	}{
		{name: "a room", query: "room=nothing", want: 400, code: "invalid_room"},
		{name: "a cursor", query: "cursor=zone:w1:a@x", want: 400, code: "invalid_offset"},
		{name: "a wait", query: "wait=soon", want: 400, code: "invalid_data"},
		{name: "a long wait", query: "wait=25001", want: 400, code: "invalid_data"},
		{name: "no token", query: "warehouse=w1&token=", want: 401, code: "unauthenticated"},
		{name: "another warehouse", query: "warehouse=w2", want: 403, code: "forbidden"},
		{name: "too many of the user", query: "warehouse=w1", limits: transport.Limits{ConnectionsPerUser: 1}, want: 429, code: "limit_reached"},
		{name: "no broker", query: "warehouse=w1", broken: true, want: 503, code: "unavailable"},
		{name: "no broker for the cursor", query: "cursor=warehouse:w1@k-1", broken: true, want: 503, code: "unavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, transporttest.Options{Limits: tt.limits, Guard: auth.Options{TokenSecret: transporttest.Secret}})
			token := transporttest.Token(t, jwt.MapClaims{"sub": "u", "warehouses": []string{"w1"}})
			if tt.limits != (transport.Limits{}) {
				at := s.Publish(zone, "ZONE_UPDATE", "1")
				var polling sync.WaitGroup
				defer polling.Wait()
				polling.Go(func() { s.ask(http.DefaultClient, "token="+token+"&cursor=zone:w1:a@"+at.String()) })
				defer s.Publish(zone, "ZONE_UPDATE", "2")
				testkit.Eventually(t, "a poll waits", func() bool { return s.Hub.Counts().Zones[zone] == 1 })
			}
			s.Broker.Broken.Store(tt.broken)
			header := []string{"Authorization", "Bearer " + token}
			if strings.Contains(tt.query, "token=") {
				header = nil
			}
			a := s.ask(http.DefaultClient, tt.query, header...)
			if a.status != tt.want || a.header.Get("Content-Type") != "application/problem+json" ||
				!strings.Contains(a.body, `"code":"`+tt.code+`"`) || (tt.want == 429 || tt.want == 503) != (a.header.Get("Retry-After") != "") {
				t.Errorf("answered %d %v: %s", a.status, a.header, a.body)
			}
		})
	}
}

func TestAPollEndsWithItsToken(t *testing.T) {
	s := start(t, transporttest.Options{Guard: auth.Options{TokenSecret: transporttest.Secret}})
	at := s.Publish(zone, "ZONE_UPDATE", "1")
	token := transporttest.Token(t, jwt.MapClaims{"sub": "u", "warehouses": []string{"*"}, "exp": time.Now().Add(2 * time.Second).Unix()})
	if a := s.ask(http.DefaultClient, "token="+token+"&cursor=zone:w1:a@"+at.String()); a.status != http.StatusUnauthorized {
		t.Errorf("answered %d: %s", a.status, a.body)
	}
	s.WantClosed(wire.CloseUnauthenticated, 1)
}

// An operator can end a poll for good.
func TestAPollThatIsEndedByAnOperatorIsForbidden(t *testing.T) {
	s := start(t, transporttest.Options{})
	at := s.Publish(zone, "ZONE_UPDATE", "1")
	var a answer
	var polling sync.WaitGroup
	polling.Go(func() { a = s.ask(http.DefaultClient, "cursor=zone:w1:a@"+at.String()) })
	testkit.Eventually(t, "the poll waits", func() bool { return s.Hub.Counts().Zones[zone] == 1 })
	for _, session := range s.Hub.Sessions() {
		session.Queue.Close(wire.CloseForbidden, "disconnected by an operator")
	}
	if polling.Wait(); a.status != http.StatusForbidden {
		t.Errorf("answered %d: %s", a.status, a.body)
	}
	s.WantClosed(wire.CloseForbidden, 1)
}

// Polls that wait when the instance leaves answer at once, and say when to come back; the next
// instance goes on from there.
func TestDrainAnswersThePollsThatWait(t *testing.T) {
	s := start(t, transporttest.Options{})
	cursor := s.ask(http.DefaultClient, "warehouse=w1&zone=a").Cursor
	const polls = 5
	answers := make([]answer, polls)
	var polling sync.WaitGroup
	for i := range answers {
		polling.Go(func() { answers[i] = s.ask(http.DefaultClient, "cursor="+cursor) })
	}
	testkit.Eventually(t, "the polls wait", func() bool { return s.Hub.Counts().Zones[zone] == polls })
	s.Gate.Drain(t.Context())
	polling.Wait()
	for _, a := range answers {
		if a.status != 200 || a.Cursor != cursor || a.RetryAfter < 100 || a.RetryAfter > 2000 {
			t.Errorf("answered %d %s", a.status, a.body)
		}
	}
	if a := s.ask(http.DefaultClient, "cursor="+cursor); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("a new poll: %d %s", a.status, a.body)
	}
	s.WantClosed(wire.CloseRestart, polls)
}

// post sends a frame.
func (s *server) post(token, frame string) (status int, header http.Header, f wire.ServerFrame) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+"/poll", strings.NewReader(frame))
	testkit.Must(s.t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	testkit.Must(s.t, err)
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if f, err = wire.DecodeServer(body); err != nil || response.Header.Get("Content-Type") != "application/json" {
		s.t.Errorf("%s is answered %s: %s", frame, response.Status, body)
	}
	return response.StatusCode, response.Header, f
}

func TestWhatClientsSendByPost(t *testing.T) {
	s := start(t, transporttest.Options{Guard: auth.Options{TokenSecret: transporttest.Secret}})
	reader := transporttest.Token(t, jwt.MapClaims{"sub": "reader", "warehouses": []string{"w1"}})
	writer := transporttest.Token(t, jwt.MapClaims{"sub": "writer", "warehouses": []string{"w1"}, "publish": true})
	tests := []struct {
		name, token, frame string
		status             int
		event, data        string // data is a part of it
		id                 int64
	}{
		{"an echo", reader, `{"event":"echo","data":{ "a":1 },"id":7}`, 200, "ack", `{ "a":1 }`, 7},
		{"an echo without id", reader, `{"event":"echo","data":"x"}`, 200, "ack", `"x"`, 0},
		{"a publish", writer, `{"event":"publish","data":{"warehouse":"w1","zone":"a","event":"ALERT","data":1},"id":8}`, 200, "ack", `-1"}`, 8},
		{"no permission", reader, `{"event":"publish","data":{"warehouse":"w1","event":"ALERT"},"id":9}`, 403, "error", `"forbidden"`, 9},
		{"no token", "", `{"event":"echo","id":9}`, 401, "error", `"unauthenticated"`, 0},
		{"no JSON", reader, `{"event":`, 400, "error", `"bad_frame"`, 0},
		{"a subscribe", reader, `{"event":"subscribe","data":{"warehouse":"w1"},"id":9}`, 400, "error", `send one of [echo publish]`, 9},
		{"a name of the protocol", writer, `{"event":"publish","data":{"warehouse":"w1","event":"gap"},"id":9}`, 400, "error", `"invalid_event"`, 9},
		{"a long key", writer, `{"event":"publish","data":{"warehouse":"w1","event":"A","idempotencyKey":"` + strings.Repeat("k", 256) + `"},"id":9}`,
			400, "error", `at most 255`, 9},
		{"too much", writer, `{"event":"echo","data":"` + strings.Repeat("x", transporttest.FrameLimit) + `"}`, 413, "error", `"too_large"`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, _, f := s.post(tt.token, tt.frame)
			if status != tt.status || f.Event != tt.event || f.ID != tt.id || !strings.Contains(string(f.Data), tt.data) {
				t.Errorf("answered %d %s %d %s, want %d %s %d …%s…", status, f.Event, f.ID, f.Data, tt.status, tt.event, tt.id, tt.data)
			}
		})
	}
	s.WantCount(1, "zonecast_publishes_total", "via=poll", "result=ok")
}

// A client that got no answer may send its publish again.
func TestAPublishWithAKeyIsSentOnce(t *testing.T) {
	s := start(t, transporttest.Options{})
	const frame = `{"event":"publish","data":{"warehouse":"w1","zone":"a","event":"ALERT","data":1,"idempotencyKey":"k-1"},"id":1}`
	_, _, first := s.post("", frame)
	_, _, again := s.post("", frame)
	if first.Event != wire.EventAck || string(first.Data) != string(again.Data) {
		t.Errorf("answered %s, then %s", first.Data, again.Data)
	}
	s.WantCount(1, "zonecast_publishes_total", "result=duplicate")
}

func TestPostsCountAsFramesOfTheirUser(t *testing.T) {
	limits := transport.Limits{}
	limits.UserFrames.Tokens, limits.UserFrames.Refill = 3, 0.001
	s := start(t, transporttest.Options{Limits: limits, Guard: auth.Options{TokenSecret: transporttest.Secret}})
	token := transporttest.Token(t, jwt.MapClaims{"sub": "u", "warehouses": []string{"w1"}})
	var got []int
	for range 5 {
		status, header, f := s.post(token, `{"event":"echo","id":5}`)
		if status == 429 && (header.Get("Retry-After") == "" || f.ID != 5) {
			t.Errorf("refused with %v %+v", header, f)
		}
		got = append(got, status)
	}
	if !slices.Equal(got, []int{200, 200, 200, 429, 429}) {
		t.Errorf("answered %v", got)
	}
}
