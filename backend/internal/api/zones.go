package api

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/wire"
)

// maxNear is how many names are offered for one that is near them.
const maxNear = 5

func (a *API) addZoneRoutes(routes *access.Table) {
	routes.Add(access.Client, access.Reading, "/api/v1/warehouses/:warehouse/zones", a.zones)
	routes.Add(access.Client, access.Reading, "/api/v1/warehouses/:warehouse/alerts/history", a.alertsHistory)
}

// zones answers with the zones of a warehouse that were published to, as far as the caller may join
// them: by name, or with near=NAME the few whose names are most like it.
func (a *API) zones(c echo.Context) error {
	room, asking, err := a.reader(c)
	if err != nil {
		return err
	}
	names, err := a.Zones(c.Request().Context(), room.Warehouse)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(zone string) bool {
		return asking != nil && asking.MayJoin(wire.Room{Warehouse: room.Warehouse, Zone: zone}) != nil
	})
	if near := c.QueryParam("near"); near != "" {
		names = nearest(names, near)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, struct {
		Warehouse string   `json:"warehouse"`
		Zones     []string `json:"zones"`
	}{room.Warehouse, append([]string{}, names...)})
}

// reader returns the room of the warehouse that is asked about, and who asks: someone who may join
// some of its rooms, or nil for an operator, who may see all.
func (a *API) reader(c echo.Context) (room wire.Room, asking *auth.Identity, err error) {
	if room, err = roomOf(c); err != nil {
		return room, nil, err
	}
	_, err = a.caller(c, room, operator.Viewer, func(who *auth.Identity, room wire.Room) error {
		if err := who.MayJoinIn(room.Warehouse); err != nil {
			return err
		}
		asking = who
		return nil
	})
	return room, asking, err
}

// nearest returns the names that take the fewest changes to become another one, the nearest first.
func nearest(names []string, to string) []string {
	to = strings.ToLower(to[:min(len(to), wire.MaxNameLen)])
	distances := make(map[string]int, len(names))
	for _, name := range names {
		distances[name] = distance(strings.ToLower(name), to)
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(distances[a], distances[b]) })
	return names[:min(len(names), maxNear)]
}

// distance is how many bytes have to be inserted, deleted or replaced to make one name the other
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
