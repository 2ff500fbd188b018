package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/publishing"
	"github.com/zonecast/zonecast/backend/wire"
)

// batchRooms bounds how many rooms a batch is published to at the same time.
const batchRooms = 32

// A result is what became of one message of a batch.
type result struct {
	*wire.Position
	Error *wire.Error `json:"error,omitempty"`
}

// batch publishes several messages and answers each. Those to one room are published in their
// order; rooms don't wait for one another.
func (a *API) batch(c echo.Context) error {
	var batch struct {
		Messages []json.RawMessage `json:"messages"`
	}
	who, err := a.read(c, &batch, 16*a.MaxFrameBytes)
	if err != nil {
		return err
	}
	switch n := len(batch.Messages); {
	case n == 0:
		return a.Publisher.Reject(via, wire.Errorf(wire.CodeInvalidData,
			`messages is missing or empty: send {"messages":[{"warehouse","zone","event","data"}]}`))
	case n > wire.BatchMessages:
		return a.Publisher.Reject(via, wire.Errorf(wire.CodeTooLarge,
			"the batch has %d messages: at most %d are allowed", n, wire.BatchMessages))
	}
	if err := a.spendRate(c, who, len(batch.Messages)); err != nil {
		return err
	}
	results := make([]result, len(batch.Messages))
	items := make([]publishing.Request, len(batch.Messages))
	rooms := map[[2]string][]int{} // indexes of the messages by warehouse and zone
	for i, p := range batch.Messages {
		if err := wire.DecodeObject(fmt.Sprintf("messages[%d]", i), p, &items[i]); err != nil {
			results[i].Error = wire.AsError(a.Publisher.Reject(via, err))
			continue
		}
		items[i].Traceparent = cmp.Or(items[i].Traceparent, c.Request().Header.Get("Traceparent"))
		room := [2]string{items[i].Warehouse, items[i].Zone}
		rooms[room] = append(rooms[room], i)
	}
	var publishers errgroup.Group
	publishers.SetLimit(batchRooms)
	for _, indexes := range rooms {
		publishers.Go(func() error {
			a.publishInOrder(c.Request().Context(), who, items, indexes, results)
			return nil
		})
	}
	_ = publishers.Wait() // each message has its own error
	return c.JSON(http.StatusOK, map[string]any{"results": results})
}

// publishInOrder publishes the items with these indexes one after the other. Those that are durable
// wait together, after the last one.
func (a *API) publishInOrder(ctx context.Context, who *auth.Identity, items []publishing.Request, indexes []int, results []result) {
	confirms := make([]func(context.Context) error, len(indexes))
	for n, i := range indexes {
		position, confirm, err := a.Publisher.Accept(ctx, via, who, items[i])
		if err != nil {
			results[i].Error = wire.AsError(err)
			continue
		}
		results[i].Position, confirms[n] = &position, confirm
	}
	for n, i := range indexes {
		if confirms[n] == nil {
			continue
		}
		if err := confirms[n](ctx); err != nil {
			results[i] = result{Error: wire.AsError(err)}
		}
	}
}
