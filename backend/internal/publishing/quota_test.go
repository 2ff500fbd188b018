package publishing

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// keeping is a hub that keeps what is published.
type keeping struct {
	broker.Deleter
	all []broker.Publication
}

func (*keeping) RetainedIn(context.Context, wire.Room) ([]*wire.Message, error) { return nil, nil }

func (k *keeping) Publish(_ context.Context, p broker.Publication) (broker.Receipt, error) {
	k.all = append(k.all, p)
	return broker.Receipt{Offset: wire.Offset{Epoch: "k", N: uint64(len(k.all))}}, nil
}

// A warehouse that is published to at ten times its quota gets its quota; others notice nothing.
func TestAWarehouseIsHeldToItsRateAndOthersAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New("v-test")
		h := new(keeping)
		p := New(Options{Hub: h, Metrics: m, MaxDataBytes: 1024, Rate: limit.Rate{Tokens: 200, Refill: 100}})
		service, err := auth.New(auth.Options{}).Service(httptest.NewRequest(http.MethodPost, "/", nil), auth.Visit{})
		testkit.Must(t, err)
		accepted, refused := 0, 0
		for i := range 10_000 { // in ten seconds
			_, err := p.Publish(t.Context(), "http", service, Request{Warehouse: "greedy", Event: "E", Data: json.RawMessage(`1`)})
			switch e := wire.AsError(err); {
			case err == nil:
				accepted++
			case e.Code == wire.CodeRateLimited && e.RetryAfter > 0:
				refused++
				if q, ok := errors.AsType[*broker.QuotaError](err); !ok || q.Quota != broker.QuotaPublishRate {
					t.Fatal(err)
				}
			default:
				t.Fatal(err)
			}
			if i%10 == 0 {
				_, err := p.Publish(t.Context(), "http", service, Request{Warehouse: "modest", Event: "E"})
				testkit.Must(t, err)
			}
			time.Sleep(time.Millisecond)
		}
		if accepted < 1190 || accepted > 1210 || accepted+refused != 10_000 {
			t.Errorf("%d were accepted and %d refused, want 200 and 100 a second", accepted, refused)
		}
	})
}

// A warehouse whose rate is used up by what the server could not take would be held up twice; what
// it asks for beyond its quotas, and repeats, is work like any other.
func TestWhatTheServerCouldNotTakeCostsNothingOfTheRate(t *testing.T) {
	for name, c := range map[string]struct {
		receipt broker.Receipt
		err     error
		free    bool
	}{
		"the broker is away": {err: wire.Errorf(wire.CodeUnavailable, "away"), free: true},
		"the room is full":   {err: wire.Errorf(wire.CodeRateLimited, "members are behind"), free: true},
		"a repetition":       {receipt: broker.Receipt{Offset: wire.Offset{Epoch: "k", N: 1}, Duplicate: true}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &answering{receipt: c.receipt, err: c.err}
			p := New(Options{Hub: h, Metrics: metrics.New("v-test"), MaxDataBytes: 1024, Rate: limit.Rate{Tokens: 2, Refill: 0.001}})
			service, err := auth.New(auth.Options{}).Service(httptest.NewRequest(http.MethodPost, "/", nil), auth.Visit{})
			testkit.Must(t, err)
			limited := false
			for range 10 {
				_, err := p.Publish(t.Context(), "http", service, Request{Warehouse: "w", Event: "E"})
				quota, ok := errors.AsType[*broker.QuotaError](err)
				limited = limited || ok && quota.Quota == broker.QuotaPublishRate
			}
			if limited == c.free {
				t.Errorf("refused for its rate: %v", limited)
			}
		})
	}
}

// Callers that the idempotency keys are told apart by: by user, by publish key.
func TestIdempotencyKeysAreOfTheirCaller(t *testing.T) {
	h := new(keeping)
	p := New(Options{Hub: h, Metrics: metrics.New("v-test"), MaxDataBytes: 1024})
	guard := auth.New(auth.Options{PublishKeys: []string{"one", "two"}})
	for _, key := range []string{"one", "two", "one"} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Authorization", "Bearer "+key)
		who, err := guard.Service(r, auth.Visit{})
		testkit.Must(t, err)
		_, err = p.Publish(t.Context(), "http", who, Request{Warehouse: "w", Event: "E", IdempotencyKey: "k"})
		testkit.Must(t, err)
	}
	user, another := (&auth.Identity{User: "one"}).Caller(), (&auth.Identity{User: "two"}).Caller()
	callers := []string{h.all[0].Caller, h.all[1].Caller, user, another, new(auth.Identity).Caller()}
	seen := map[string]bool{}
	for _, c := range callers {
		seen[c] = true
	}
	if len(seen) != len(callers) || h.all[2].Caller != h.all[0].Caller {
		t.Errorf("the callers are %q", callers)
	}
}
