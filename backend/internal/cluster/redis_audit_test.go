package cluster_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// What one instance records, another one lists, each entry once; what somebody else writes into
// Redis is no entry.
func TestTheAuditLogOfAllInstancesIsOneAndSigned(t *testing.T) {
	server := startRedis(t)
	signer := func() *bus.Signer { return bus.New([]string{"a-secret-of-these-tests-with-32-bytes"}) }
	refused := map[string]int{}
	open := func(name string, s *bus.Signer) *audit.Log {
		l, err := audit.Open(audit.Options{Node: name, Log: slog.New(slog.DiscardHandler),
			OnFailure: func(sink string) { t.Errorf("%s took nothing", sink) },
			OnRefuse:  func(kind bus.Kind, why bus.Refusal) { refused[fmt.Sprintf("%s %s", kind, string(why))]++ }})
		testkit.Must(t, err)
		l.Use(joinAs(t, server.URL, name, func(o *cluster.Options) { o.Prefix = "here" }).Redis, s)
		return l
	}
	a, b := open("a", signer()), open("b", signer())
	const each = 300
	for i := range each {
		who := fmt.Sprint("operator-", i%3) // of one there are 120 entries a minute
		a.Record(audit.Entry{Who: who, Action: audit.Ban, Target: fmt.Sprint("a", i), Result: audit.Done})
		b.Record(audit.Entry{Who: who, Action: audit.Revoke, Target: fmt.Sprint("b", i), Result: audit.Done})
		if i%100 == 0 { // to the store
			for _, l := range []*audit.Log{a, b} {
				_, err := l.Read(t.Context(), audit.Query{Limit: 1})
				testkit.Must(t, err)
			}
		}
	}
	b.Failure(audit.Entry{Action: audit.Login, Address: "10.0.0.7"})
	_, err := b.Read(t.Context(), audit.Query{Limit: 1})
	testkit.Must(t, err)
	seen := map[string]int{}
	for q := (audit.Query{Limit: 41}); ; {
		page, err := a.Read(t.Context(), q)
		testkit.Must(t, err)
		for _, e := range page.Entries {
			seen[e.Node+e.Target]++
		}
		if q.Before = page.Next; q.Before == "" {
			break
		}
	}
	if len(seen) != 2*each+1 {
		t.Errorf("%d entries, want %d", len(seen), 2*each+1)
	}
	for e, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", e, n)
		}
	}

	options, err := redis.ParseURL(server.URL)
	testkit.Must(t, err)
	stranger := redis.NewClient(options)
	defer stranger.Close()
	forged := `{"time":"2027-01-31T08:00:00Z","who":"ann","action":"ban","result":"done","node":"a"}`
	for _, value := range []string{forged, "s1:x.1.1.AAAA " + forged, "s1:", ""} {
		testkit.Must(t, stranger.XAdd(t.Context(), &redis.XAddArgs{Stream: "here:audit:operators", Values: []string{"entry", value}}).Err())
	}
	page, err := b.Read(t.Context(), audit.Query{Limit: audit.MaxPage})
	testkit.Must(t, err)
	if len(page.Entries) != 2*each+1 || page.Refused != 4 || refused["audit unsigned"] != 2 || refused["audit forged"] != 1 {
		t.Errorf("%d entries, %d refused: %v", len(page.Entries), page.Refused, refused)
	}
}
