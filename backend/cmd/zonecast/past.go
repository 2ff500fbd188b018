package main

import (
	"context"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/web/dashboard"
)

// kindPast asks for the figures that an instance remembers of a window.
const kindPast = "past"

// answerPast answers what this instance remembers.
func (s *server) answerPast(next cluster.Answerer) cluster.Answerer {
	return func(ctx context.Context, q cluster.Question) (any, error) {
		if q.Kind != kindPast {
			return next(ctx, q)
		}
		window, err := cluster.Asked[string](q)
		if err != nil {
			return nil, err
		}
		return s.ui.Past(window), nil
	}
}

// listPast is what all instances remember of a window.
func (s *server) listPast(ctx context.Context, window string) (out dashboard.PastPage, _ error) {
	all, fanOut, err := connadmin.Ask[[]dashboard.Point](ctx, s.cluster, kindPast, window)
	return dashboard.PastPage{FanOut: fanOutOf(fanOut), Points: dashboard.MergePasts(all)}, err
}
