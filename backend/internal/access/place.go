package access

import (
	"context"

	"github.com/labstack/echo/v4"
)

// A Place is an address that the server listens on. Requests carry it in their context.
type Place struct {
	// Hosts are the names that requests may have as their Host; see [Hosts].
	Hosts []string
	// Public places have nothing that is internal.
	Public bool
}

type placeKey struct{}

// In returns a context of requests that come in at this place.
func (p Place) In(ctx context.Context) context.Context {
	return context.WithValue(ctx, placeKey{}, p)
}

// IsPublic reports whether a request came in at a place that has nothing internal.
func IsPublic(c echo.Context) bool { return placeOf(c).Public }

func placeOf(c echo.Context) Place {
	p, _ := c.Request().Context().Value(placeKey{}).(Place)
	return p
}

// Internal keeps paths from public places. Those of operators' routes alone always are.
func (t *Table) Internal(paths ...string) {
	for _, path := range paths {
		t.internal[path] = true
	}
}

// HideInternal answers at public places as if there were nothing at internal paths, whatever the
// method.
func (t *Table) HideInternal(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if t.internal[c.Path()] && IsPublic(c) {
			return echo.ErrNotFound
		}
		return next(c)
	}
}
