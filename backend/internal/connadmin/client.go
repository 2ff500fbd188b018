package connadmin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/cluster"
)

// A Client lists and disconnects the connections of all instances.
type Client struct{ Cluster cluster.Cluster }

// A FanOut says which instances an answer is of.
type FanOut struct {
	Asked    int `json:"nodesAsked"`
	Answered int `json:"nodesAnswered"`
	// Missing names instances that did not answer, each maybe with why.
	Missing []string `json:"nodesMissing"`
	// Complete is false when connections may be missing; Incomplete says why, when that is not one
	// of Missing.
	Complete   bool   `json:"complete"`
	Incomplete string `json:"incomplete,omitempty"`
}

// List returns a page of the connections of all instances.
func (c Client) List(ctx context.Context, wanted Selection) (Page, FanOut, error) {
	pages, fanOut, err := Ask[Page](ctx, c.Cluster, wanted.kind(kindList), wanted)
	return merge(pages, wanted), fanOut, err
}

// Disconnect closes connections, wherever they are, and returns how many. With ban their clients
// are told not to reconnect.
func (c Client) Disconnect(ctx context.Context, wanted Selection, ban bool) (int, FanOut, error) {
	answers, fanOut, err := Ask[disconnected](ctx, c.Cluster, wanted.kind(kindDisconnect), disconnection{wanted, ban})
	n := 0
	for _, a := range answers {
		n += a.Disconnected
	}
	return n, fanOut, err
}

// Reached says what was done, for the audit log.
func Reached(disconnected int, f FanOut) string {
	text := fmt.Sprintf("%d disconnected", disconnected)
	if len(f.Missing) > 0 {
		text += "; no answer from " + strings.Join(f.Missing, ", ")
	}
	return text
}

// Ask puts a question to all instances and decodes what they say.
func Ask[T any](ctx context.Context, c cluster.Cluster, kind string, question any) (said []T, _ FanOut, _ error) {
	data, err := json.Marshal(question)
	if err != nil {
		return nil, FanOut{}, fmt.Errorf("ask for %s: %w", kind, err)
	}
	answers := c.Ask(ctx, cluster.Question{Kind: kind, Data: data})
	for _, a := range answers.All {
		var one T
		if err := json.Unmarshal(a.Data, &one); err != nil {
			answers.Missing = append(answers.Missing, a.Node+" (its answer is not readable)")
			continue
		}
		said = append(said, one)
	}
	missing := append([]string{}, answers.Missing...)
	return said, FanOut{Asked: answers.Asked, Answered: len(said), Missing: missing, Complete: answers.Complete(),
		Incomplete: answers.Incomplete}, nil
}
