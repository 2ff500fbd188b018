package api

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// rebalance makes all instances share their connections out again, and says what they are about to
// do.
func (a *API) rebalance(c echo.Context) error {
	ctx, cancel, err := requestTimeout(c)
	if err != nil {
		return err
	}
	defer cancel()
	plan, err := a.Rebalance.Start(ctx)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, plan)
}
