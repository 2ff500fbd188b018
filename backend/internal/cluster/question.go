package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// A Question is put to all instances. Its JSON is what instances tell one another: fields may be
// added, never changed.
type Question struct {
	Kind string          `json:"kind"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Asked returns what a question is about.
func Asked[T any](q Question) (about T, err error) {
	if err := json.Unmarshal(q.Data, &about); err != nil {
		return about, fmt.Errorf("not readable: %w", err)
	}
	return about, nil
}

// An Answerer answers the questions that are put to this instance. What it returns is sent as JSON.
type Answerer func(ctx context.Context, q Question) (any, error)

// An Answer is what one instance said.
type Answer struct {
	Node string          `json:"node"`
	Data json.RawMessage `json:"data,omitempty"`
	// Error says why it could not answer; empty when it did.
	Error string `json:"error,omitempty"`
}

// Answers are those that came in time.
type Answers struct {
	// All are in the order of the instances' names; those with an error are among Missing instead.
	All []Answer
	// Asked is how many instances were, this one included.
	Asked int
	// Missing names the instances that live, or that fell silent a moment ago, and did not answer;
	// each with why, if it said so.
	Missing []string
	// Incomplete says why instances may be missing that are not known of; empty when none are.
	Incomplete string
}

// Complete reports whether all instances have answered.
func (a Answers) Complete() bool { return len(a.Missing) == 0 && a.Incomplete == "" }

// answer asks this instance.
func (answerer Answerer) answer(ctx context.Context, node string, q Question) Answer {
	a := Answer{Node: node}
	data, err := answerer(ctx, q)
	if err == nil {
		a.Data, err = json.Marshal(data)
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// add takes an answer in.
func (a *Answers) add(one Answer) {
	if one.Error != "" {
		a.Missing = append(a.Missing, fmt.Sprintf("%s (%s)", one.Node, one.Error))
		return
	}
	a.All = append(a.All, one)
	slices.SortFunc(a.All, func(x, y Answer) int { return cmp.Compare(x.Node, y.Node) })
}
