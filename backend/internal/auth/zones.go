package auth

import (
	"slices"

	"github.com/zonecast/zonecast/backend/wire"
)

// MayJoinIn tells whether any room of a warehouse may be joined. It returns nil, or a *wire.Error
// of wire.CodeForbidden.
func (i *Identity) MayJoinIn(warehouse string) error {
	if slices.ContainsFunc(i.join, func(w warehouseGrant) bool {
		return (w.warehouse == warehouse || w.warehouse == "*") && (w.zones == nil || len(w.zones) > 0)
	}) {
		return nil
	}
	return i.MayJoin(wire.Room{Warehouse: warehouse})
}
