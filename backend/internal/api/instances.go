package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/instances"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/wire"
)

// Instances are those of the cluster.
type Instances struct{ instances.Client }

func (a *API) addInstanceRoutes(routes *access.Table) {
	const one = "/api/v1/instances/:id"
	post, remove := []string{http.MethodPost}, []string{http.MethodDelete}
	routes.Add(access.Viewer, access.Reading, "/api/v1/instances", a.instances)
	routes.Add(access.Viewer, access.Reading, one, a.instance)
	routes.Add(access.Operator, post, one+"/drain", a.drain)
	routes.Add(access.Operator, remove, one+"/drain", a.drain)
	routes.Action(audit.Drain, post, one+"/drain")
	routes.Action(audit.EndDrain, remove, one+"/drain")
}

// instances answers with all instances of the cluster.
func (a *API) instances(c echo.Context) error {
	list, err := a.listInstances(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list)
}

// instance answers with one of them, by its id or name.
func (a *API) instance(c echo.Context) error {
	list, err := a.listInstances(c)
	if err != nil {
		return err
	}
	found := list.Find(pathName(c, "id"))
	if found == nil {
		return errNoInstance(list, pathName(c, "id"))
	}
	return c.JSON(http.StatusOK, found)
}

func (a *API) listInstances(c echo.Context) (instances.List, error) {
	ctx, cancel, err := requestTimeout(c)
	if err != nil {
		return instances.List{}, err
	}
	defer cancel()
	c.Response().Header().Set("Cache-Control", "no-store")
	return a.Instances.List(ctx)
}

// errNoInstance says that an instance can't be found, and why.
func errNoInstance(list instances.List, idOrName string) error {
	names := map[string]int{}
	for _, i := range list.Instances {
		names[i.Node]++
	}
	for _, g := range list.Gone {
		if g.ID == idOrName || g.Node == idOrName {
			return echo.NewHTTPError(http.StatusNotFound, fmt.Sprintf("the instance %s does not answer since %s", g.Node, g.Since.UTC().Format("15:04:05 UTC")))
		}
	}
	if names[idOrName] > 1 {
		return echo.NewHTTPError(http.StatusConflict, fmt.Sprintf("%d instances have the name %s: name one by its id, and give each a NODE_NAME of its own", names[idOrName], idOrName))
	}
	return echo.NewHTTPError(http.StatusNotFound, "there is no instance of this id or name: GET /api/v1/instances lists them")
}

// drain takes an instance out of service, or puts it back.
func (a *API) drain(c echo.Context) error {
	ctx, cancel, err := requestTimeout(c)
	if err != nil {
		return err
	}
	defer cancel()
	info, err := a.Instances.Drain(ctx, access.Entry(c), pathName(c, "id"), c.Request().Method == http.MethodDelete)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, info)
}

// Drain takes for an operator the instance of an id or a name out of service, or puts it back. The
// error says what to change.
func (i Instances) Drain(ctx context.Context, entry *audit.Entry, idOrName string, end bool) (*instances.Info, error) {
	entry.Target = "instance " + idOrName
	list := i.Known()
	found := list.Find(idOrName)
	if found == nil {
		return nil, errNoInstance(list, idOrName)
	}
	entry.Target = "instance " + found.Node
	done, refused, err := i.Client.Drain(ctx, found.ID, end, operator.From(ctx).Name)
	switch {
	case err != nil:
		return nil, err
	case done == nil:
		return nil, &wire.Error{Code: wire.CodeUnavailable, RetryAfter: 2000,
			Message: found.Node + " has not answered in time: see how it stands before you send this again"}
	case refused != "":
		return nil, echo.NewHTTPError(http.StatusConflict, strings.TrimSpace(found.Node+": "+refused))
	}
	entry.Detail = fmt.Sprintf("%d clients are there", done.Connections)
	return done, nil
}
