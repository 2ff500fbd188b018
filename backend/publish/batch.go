package publish

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// maxBatchBytes bounds the body of one batch request; one message that is larger travels alone.
	maxBatchBytes = 1 << 20
	// maxBatchAnswerBytes is enough for a position or a sentence for each message of a full batch.
	maxBatchAnswerBytes = wire.BatchMessages * 2 << 10
)

// errNotSent stands for the messages behind a request that failed.
var errNotSent = errors.New("not sent: an earlier part of the batch failed")

// PublishBatch publishes the messages in their order, in as few requests as the limits of the API
// allow. It returns one result for each message, in the same order; the error is nil only if all
// were published, and wraps the first one's otherwise.
//
// Messages that the server refused for the moment are tried again like a single one, unless a later
// message of the same room was already accepted: then the older one would appear behind the newer,
// and is left to the caller. When a request fails as a whole, what follows it is not sent.
func (c *Client) PublishBatch(ctx context.Context, messages []Message) ([]Result, error) {
	b := batch{client: c, results: make([]Result, len(messages))}
	for i, m := range messages {
		e, err := seal(m)
		if err != nil {
			b.results[i].Err = fmt.Errorf("publish %.*q: %w", wire.MaxEventLen, m.Event, err)
			continue
		}
		b.results[i].Err = errNotSent
		b.items = append(b.items, item{envelope: e, index: i})
	}
	for len(b.items) > 0 && b.send(ctx) == nil {
	}
	return b.results, b.err()
}

// A batch is one call of PublishBatch under way.
type batch struct {
	client  *Client
	results []Result
	items   []item // not sent yet
}

type item struct {
	envelope
	index int // in results
}

// err sums the results up.
func (b *batch) err() error {
	var first error
	failed := 0
	for _, r := range b.results {
		if r.Err == nil {
			continue
		}
		if failed++; failed == 1 {
			first = r.Err
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d messages were not published, the first: %w", failed, len(b.results), first)
}

// send takes what fits into one request from b.items and sends it until each item is answered for
// good. The error is that of a request which failed as a whole; it stands in the results as well.
func (b *batch) send(ctx context.Context) error {
	part := b.take()
	var whole error // the last attempt's failure as a whole
	err := b.client.retrying(ctx, func(ctx context.Context) error {
		var answers []answer
		if answers, whole = b.client.postBatch(ctx, part); whole != nil {
			return whole
		}
		var again error
		part, again = b.settle(part, answers)
		return again
	})
	if whole != nil {
		for _, it := range part {
			b.fail(it, err)
		}
	}
	return whole
}

// take removes the items of one request from b.items.
func (b *batch) take() []item {
	n, size := 0, 0
	for n < len(b.items) && n < wire.BatchMessages {
		size += len(b.items[n].data) + itemOverhead
		if n > 0 && size > maxBatchBytes {
			break
		}
		n++
	}
	part := b.items[:n:n]
	b.items = b.items[n:]
	return part
}

// itemOverhead is the most that appendItem adds to an item's data: four names with their field
// names and quotes.
const itemOverhead = 2*wire.MaxNameLen + wire.MaxEventLen + 2*wire.MaxIdempotencyKeyLen + 128

// settle records the answers and returns the items to send again, with the first one's error.
func (b *batch) settle(part []item, answers []answer) (again []item, reason error) {
	last := make(map[wire.Room]int) // the last item of each room that was accepted
	for i, a := range answers {
		if a.Error == nil {
			last[part[i].room] = i
		}
	}
	for i, a := range answers {
		it := part[i]
		if a.Error == nil {
			result, err := it.result(a.Position)
			b.results[it.index] = result
			if err != nil {
				b.fail(it, err)
			}
			continue
		}
		err := a.Error.asError()
		b.fail(it, err)
		if newest, published := last[it.room]; err.Temporary() && (!published || newest < i) {
			again = append(again, it)
			reason = cmp.Or[error](reason, err)
		}
	}
	return again, reason
}

func (b *batch) fail(it item, err error) {
	b.results[it.index] = Result{Err: fmt.Errorf("publish %s to %s: %w", it.event, it.room, err)}
}

// answer is what the server says about one item.
type answer struct {
	wire.Position
	Error *refusal `json:"error"`
}

type refusal wire.Error

func (r *refusal) asError() *Error {
	after := min(max(r.RetryAfter, 0), int64(24*time.Hour/time.Millisecond))
	return &Error{Code: wire.ErrorCode(clip(string(r.Code))), Detail: clip(r.Message),
		RetryAfter: time.Duration(after) * time.Millisecond, Accepted: r.Accepted}
}

// postBatch sends one request. The answers are as many as the items.
func (c *Client) postBatch(ctx context.Context, part []item) ([]answer, error) {
	body := []byte(`{"messages":[`)
	for i := range part {
		if i > 0 {
			body = append(body, ',')
		}
		body = part[i].appendItem(body)
	}
	body = append(body, "]}"...)
	raw, err := c.post(ctx, c.base+"/api/v1/broadcast", body, "", maxBatchAnswerBytes)
	if err != nil {
		return nil, err
	}
	var res struct {
		Results []answer `json:"results"`
	}
	if err := json.Unmarshal(raw, &res); err != nil {
		return nil, notZonecast(err)
	}
	if len(res.Results) != len(part) {
		return nil, fmt.Errorf("the answer has %d results for %d messages: is this URL a Zonecast server?",
			len(res.Results), len(part))
	}
	return res.Results, nil
}
