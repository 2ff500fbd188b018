package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/closures"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/web/dashboard"
)

// sources are what the dashboard's pages ask. They tell an operator of some warehouses what is in
// those alone.
func (s *server) sources() dashboard.Sources {
	return dashboard.Sources{Clients: s.listClients, Client: s.client, Closed: s.listClosed, Events: s.listEvents, Screens: s.listScreens, Room: s.room}
}

// within are the warehouses to which who asks is limited; nil for no limit.
func within(ctx context.Context, need operator.Role) []string {
	names, all := operator.From(ctx).Warehouses(need)
	if all {
		return nil
	}
	return names
}

// selection is what a query of the dashboard selects. The error says what is wrong with it.
func selection(q dashboard.ClientQuery) (w connadmin.Selection, err error) {
	w = connadmin.Selection{User: q.User, Node: q.Node, Slow: q.Slow, Limit: q.Limit,
		Filter: connadmin.Filter{Text: q.Search, Transport: q.Transport, Address: q.Address, Agent: q.Agent, MinQueued: q.MinQueued,
			IDs: q.IDs, Sort: connadmin.Sort(q.Sort), Show: q.Show}}
	if !q.OpenedBefore.IsZero() {
		w.OpenedBefore = q.OpenedBefore.UnixMilli()
	}
	if q.Zone == "" {
		w.Warehouse = q.Warehouse
	} else {
		room, err := wire.NewRoom(q.Warehouse, q.Zone)
		if err != nil {
			return w, err
		}
		w.Room = room.String()
	}
	if q.After != "" { // value_id
		value, id, _ := strings.Cut(q.After, "_")
		if w.AfterValue, err = strconv.ParseInt(value, 10, 64); err != nil {
			return w, wire.Errorf(wire.CodeInvalidData, "the address of this page is cut off or changed: begin with the first page")
		}
		w.After = id
	}
	return w, nil
}

func fanOutOf(f connadmin.FanOut) dashboard.FanOut {
	return dashboard.FanOut{Asked: f.Asked, Answered: f.Answered, Missing: f.Missing, Incomplete: f.Incomplete}
}

func (s *server) listClients(ctx context.Context, q dashboard.ClientQuery) (out dashboard.ClientPage, _ error) {
	wanted, err := selection(q)
	if err != nil {
		return out, err
	}
	need := operator.Viewer
	if q.ToDisconnect {
		need = operator.Operator
	}
	wanted.Within = within(ctx, need)
	page, fanOut, err := connadmin.Client{Cluster: s.cluster}.List(ctx, wanted)
	if err != nil {
		return out, err
	}
	out = dashboard.ClientPage{FanOut: fanOutOf(fanOut), Total: page.Total}
	for _, c := range page.Connections {
		out.Clients = append(out.Clients, clientOf(c))
	}
	if page.Next != "" && len(q.Show) == 0 {
		out.Next = strconv.FormatInt(page.NextValue, 10) + "_" + page.Next
	}
	return out, nil
}

func clientOf(c connadmin.Connection) dashboard.Client {
	return dashboard.Client{ID: c.ID, User: c.User, Transport: c.Transport, Address: c.Address, Agent: c.Agent, Node: c.Node,
		Rooms: roomsOf(c.Rooms), Since: time.UnixMilli(c.Opened), RoundTrip: time.Duration(c.RTT * float64(time.Millisecond)),
		Queued: c.QueuedBytes, Slow: c.Slow, Sent: c.Sent, SentBytes: c.SentBytes, Received: c.Received, ReceivedBytes: c.ReadBytes}
}

// roomsOf reads the names of rooms.
func roomsOf(names []string) (all []dashboard.Room) {
	for _, name := range names {
		if r, err := wire.ParseRoom(name); err == nil {
			all = append(all, dashboard.Room(r))
		}
	}
	return all
}

func (s *server) client(ctx context.Context, id string) (*dashboard.ClientDetail, dashboard.FanOut, error) {
	detail, fanOut, err := connadmin.Client{Cluster: s.cluster}.Detail(ctx, connadmin.Selection{ID: id, Within: within(ctx, operator.Viewer)})
	if detail == nil || err != nil {
		return nil, fanOutOf(fanOut), err
	}
	out := &dashboard.ClientDetail{Client: clientOf(detail.Connection)}
	for _, p := range detail.Positions {
		for _, room := range roomsOf([]string{p.Room}) {
			out.Places = append(out.Places, dashboard.Place{Room: room, Offset: p.Offset, Waiting: p.Waiting})
		}
	}
	return out, fanOutOf(fanOut), nil
}

func (s *server) listClosed(ctx context.Context, q dashboard.ClosedQuery) (out dashboard.ClosedPage, _ error) {
	wanted := closures.Query{Text: q.Search, User: q.User, Address: q.Address, Agent: q.Agent, Code: q.Code, Warehouse: q.Warehouse,
		Zone: q.Zone, Within: within(ctx, operator.Viewer), Limit: q.Limit}
	if q.Before != "" { // µs_id
		text, id, _ := strings.Cut(q.Before, "_")
		us, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return out, wire.Errorf(wire.CodeInvalidData, "the address of this page is cut off or changed: begin with the first page")
		}
		wanted.Before, wanted.BeforeID = time.UnixMicro(us), id
	}
	page, answers, err := closures.Client{Cluster: s.cluster}.List(ctx, wanted)
	if err != nil {
		return out, err
	}
	out = dashboard.ClosedPage{Total: page.Total, FanOut: dashboard.FanOut{Asked: answers.Asked, Answered: len(answers.All),
		Missing: answers.Missing, Incomplete: answers.Incomplete}}
	for _, c := range page.Closures {
		one := dashboard.ClosedConnection{Time: c.Time, ID: c.ID, User: c.User, Transport: c.Transport, Address: c.Address, Agent: c.Agent,
			Node: c.Node, Code: c.Code, Why: c.Why, Rooms: roomsOf(c.Rooms), MoreRooms: c.MoreRooms,
			Stayed: time.Duration(c.Duration) * time.Millisecond, Sent: c.Sent}
		if c.Returned != 0 {
			one.Returned = time.UnixMicro(c.Returned)
		}
		out.Connections = append(out.Connections, one)
	}
	if n := len(page.Closures); page.More && n > 0 {
		last := page.Closures[n-1]
		out.Next = strconv.FormatInt(last.Time.UnixMicro(), 10) + "_" + last.ID
	}
	for _, c := range page.Churn {
		reason, refused := strings.CutPrefix(c.Reason, closures.RefusedPrefix)
		out.Churn = append(out.Churn, dashboard.Churn{Reason: reason, Refused: refused, Minute: c.Minute, FiveMinutes: c.FiveMinutes})
	}
	return out, nil
}

// formTimeout is how long what a form of the dashboard asks of other instances may take.
const formTimeout = 2 * time.Second

// addClientForms adds what the pages of the clients send, and the list as a file.
func (s *server) addClientForms(routes *access.Table) {
	post := []string{http.MethodPost}
	routes.Action(audit.Disconnect, post, dashboard.DisconnectPath) // or audit.Ban
	routes.Add(access.WarehouseOperator, post, dashboard.DisconnectPath, s.disconnectForm)
	routes.Add(access.WarehouseViewer, access.Reading, dashboard.ExportPath, s.exportClients)
}

func (s *server) disconnectForm(c echo.Context) error {
	asked := dashboard.ParseDisconnection(c.Request().Form)
	if asked.Chosen().SelectsAll() || asked.Chosen().OpenedBefore.IsZero() {
		return wire.Errorf(wire.CodeInvalidData, "this would end every connection: go back, and choose clients or filter them")
	}
	wanted, err := selection(asked.Chosen())
	if err != nil {
		return err
	}
	wanted.Within = within(c.Request().Context(), operator.Operator)
	entry := access.Entry(c)
	entry.Reason, entry.Target = asked.Reason, describe(asked.Chosen())
	if asked.Ban {
		entry.Action = audit.Ban
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), formTimeout)
	defer cancel()
	n, fanOut, err := connadmin.Client{Cluster: s.cluster}.Disconnect(ctx, wanted, asked.Ban)
	if err != nil {
		return err
	}
	entry.Detail = connadmin.Reached(n, fanOut)
	return c.Redirect(http.StatusSeeOther, asked.DoneAddress(n, fanOutOf(fanOut)))
}

// describe says whom a query selects, for the audit log.
func describe(q dashboard.ClientQuery) string {
	if len(q.IDs) > 0 {
		return strings.Join(q.IDs, ", ")
	}
	text := ""
	for _, part := range []struct{ name, value string }{{"search", q.Search}, {"warehouse", q.Warehouse}, {"zone", q.Zone}, {"user", q.User},
		{"transport", q.Transport}, {"address", q.Address}, {"agent", q.Agent}, {"node", q.Node}} {
		if part.value != "" {
			text += fmt.Sprintf("%s=%q ", part.name, part.value)
		}
	}
	if q.Slow {
		text += "slow "
	}
	if q.MinQueued > 0 {
		text += fmt.Sprintf("queued>=%d ", q.MinQueued)
	}
	return "clients with " + strings.TrimSpace(text)
}

// exportClients writes all that a query selects, as CSV or lines of JSON, page by page, so that no
// instance ever answers with all that it has. Who comes or leaves meanwhile may be missing.
func (s *server) exportClients(c echo.Context) error {
	query := dashboard.ParseClientQuery(c.QueryParams())
	query.Sort, query.After, query.Limit = "", "", connadmin.MaxPage
	format := c.QueryParam("format")
	if format != "csv" && format != "json" {
		return wire.Errorf(wire.CodeInvalidData, "format is %.20q: say csv or json", format)
	}
	page, err := s.exportPage(c.Request().Context(), query)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Disposition", `attachment; filename="zonecast-clients.`+format+`"`)
	var write func([]dashboard.Client) error
	if format == "csv" {
		h.Set("Content-Type", "text/csv; charset=utf-8")
		write = csvWriter(c.Response())
	} else {
		h.Set("Content-Type", "application/x-ndjson")
		write = jsonWriter(c.Response())
	}
	for {
		if err := write(page.Clients); err != nil {
			return nil // the caller is gone
		}
		if page.Next == "" {
			return nil
		}
		query.After = page.Next
		if page, err = s.exportPage(c.Request().Context(), query); err != nil {
			panic(http.ErrAbortHandler) // a file that is cut off must not look whole
		}
	}
}

// exportPage is a page of the export, of all instances: a file does not say whom it lacks.
func (s *server) exportPage(ctx context.Context, query dashboard.ClientQuery) (dashboard.ClientPage, error) {
	ctx, cancel := context.WithTimeout(ctx, formTimeout)
	defer cancel()
	page, err := s.listClients(ctx, query)
	if err == nil && !page.Complete() {
		err = wire.Errorf(wire.CodeUnavailable, "not all instances answered, so the list would lack clients: try again (%s%s)",
			strings.Join(page.Missing, ", "), page.Incomplete)
	}
	return page, err
}

func csvWriter(w http.ResponseWriter) func([]dashboard.Client) error {
	out := csv.NewWriter(w)
	header := []string{"connectionId", "userId", "warehouse", "zone", "transport", "address", "userAgent", "node", "since", "roundTripTime",
		"queuedBytes", "slow", "messagesSent", "bytesSent"}
	return func(clients []dashboard.Client) error {
		if header != nil {
			_ = out.Write(header) // Flush tells
			header = nil
		}
		for _, c := range clients {
			room := firstZone(c.Rooms)
			_ = out.Write([]string{c.ID, cell(c.User), cell(room.Warehouse), cell(room.Zone), c.Transport, c.Address, cell(c.Agent), cell(c.Node),
				c.Since.UTC().Format(time.RFC3339), strconv.FormatInt(c.RoundTrip.Milliseconds(), 10), strconv.Itoa(c.Queued),
				strconv.FormatBool(c.Slow), strconv.FormatUint(c.Sent, 10), strconv.FormatUint(c.SentBytes, 10)})
		}
		out.Flush()
		return out.Error()
	}
}

// firstZone is the first room that is a zone, or else the first room.
func firstZone(rooms []dashboard.Room) (first dashboard.Room) {
	for _, r := range rooms {
		if r.Zone != "" {
			return r
		}
		if first.Warehouse == "" {
			first = r
		}
	}
	return first
}

// cell is text that a spreadsheet takes for no formula, whoever wrote it.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

func jsonWriter(w http.ResponseWriter) func([]dashboard.Client) error {
	out := json.NewEncoder(w)
	return func(clients []dashboard.Client) error {
		for _, c := range clients {
			rooms := []string{}
			for _, r := range c.Rooms {
				rooms = append(rooms, wire.Room(r).String())
			}
			if err := out.Encode(connadmin.Connection{ID: c.ID, Node: c.Node, Address: c.Address, Agent: c.Agent, Opened: c.Since.UnixMilli(),
				User: c.User, Transport: c.Transport, Rooms: rooms, Duration: time.Since(c.Since).Milliseconds(), Received: c.Received,
				Sent: c.Sent, SentBytes: c.SentBytes, ReadBytes: c.ReceivedBytes, QueuedBytes: c.Queued, Slow: c.Slow,
				RTT: float64(c.RoundTrip.Microseconds()) / 1000}); err != nil {
				return err
			}
		}
		return nil
	}
}
