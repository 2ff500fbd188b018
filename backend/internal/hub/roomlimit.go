package hub

import (
	"sync"

	"github.com/zonecast/zonecast/backend/wire"
)

// The limits that a room was refused for, as [Options.OnRoomRefused] is told.
const (
	InstanceLimit  = "instance"
	WarehouseLimit = "warehouse"
)

// A roomCount counts the rooms that are kept here: with members, or lingering without.
type roomCount struct {
	mu         sync.Mutex
	all        int
	warehouses map[string]int
}

// addRoom counts one more room of a warehouse in, or refuses it. The rooms that there are already
// are not touched: who comes back to one is let in.
func (h *Hub) addRoom(name wire.Room) error {
	c := &h.kept
	c.mu.Lock()
	defer c.mu.Unlock()
	switch all, warehouse := h.opts.InstanceRooms, h.opts.WarehouseRooms; {
	case warehouse > 0 && c.warehouses[name.Warehouse] >= warehouse:
		h.roomRefused(WarehouseLimit)
		return wire.Errorf(wire.CodeLimitReached, "clients of this instance are in %d rooms of the warehouse %s, and more are not allowed: "+
			"leave some, or raise MAX_ROOMS_PER_WAREHOUSE", warehouse, name.Warehouse)
	case all > 0 && c.all >= all:
		h.roomRefused(InstanceLimit)
		return wire.Errorf(wire.CodeLimitReached, "clients of this instance are in %d rooms, and more are not allowed: "+
			"leave some, add instances, or raise MAX_ROOMS", all)
	}
	c.all++
	c.warehouses[name.Warehouse]++
	return nil
}

func (h *Hub) roomRefused(limit string) {
	if h.opts.OnRoomRefused != nil {
		h.opts.OnRoomRefused(limit)
	}
}

// dropRoom counts a room out.
func (h *Hub) dropRoom(name wire.Room) {
	c := &h.kept
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.warehouses[name.Warehouse]--; c.warehouses[name.Warehouse] == 0 {
		delete(c.warehouses, name.Warehouse)
	}
}
