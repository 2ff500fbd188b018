package config

import "errors"

// Rooms has the limits of the rooms that clients are in, whether anything is published to them or
// not.
type Rooms struct {
	MaxRooms             int `env:"MAX_ROOMS" default:"100000" help:"Maximum rooms that the clients of this instance are in, published to or not; who joins one more is refused (limit_reached). 0 = unlimited."`
	MaxRoomsPerWarehouse int `env:"MAX_ROOMS_PER_WAREHOUSE" default:"10000" help:"The same of one warehouse; 0 = unlimited."`
}

func (r Rooms) check() error {
	if r.MaxRooms < 0 || r.MaxRoomsPerWarehouse < 0 {
		return errors.New("--max-rooms and --max-rooms-per-warehouse must be at least 0, which is unlimited")
	}
	return nil
}
