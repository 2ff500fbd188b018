package wire

import (
	"fmt"
	"strings"
)

// MaxNameLen is the most characters that the name of a warehouse or a zone may have.
const MaxNameLen = 64

const (
	warehousePrefix = "warehouse:"
	zonePrefix      = "zone:"
)

// A Room is what messages are published to and clients subscribe to: a whole warehouse, or one zone
// of it. They are rooms of their own: a message to a warehouse is not copied to its zones, nor the
// other way round.
//
// The zero Room is no room. Rooms are comparable; [NewRoom] and [ParseRoom] validate.
type Room struct {
	// Warehouse is never empty in a valid room.
	Warehouse string
	// Zone is empty for the room of the whole warehouse.
	Zone string
}

// NewRoom returns the room of a zone, or of the warehouse when zone is empty. The error is an
// *[Error] with [CodeInvalidRoom] and says which of the two names is wrong, and how.
func NewRoom(warehouse, zone string) (Room, error) {
	if err := checkName("warehouse", warehouse); err != nil {
		return Room{}, err
	}
	if zone != "" {
		if err := checkName("zone", zone); err != nil {
			return Room{}, err
		}
	}
	return Room{Warehouse: warehouse, Zone: zone}, nil
}

// ParseRoom reads the text form, "warehouse:{warehouse}" or "zone:{warehouse}:{zone}".
func ParseRoom(s string) (Room, error) {
	if w, ok := strings.CutPrefix(s, warehousePrefix); ok {
		return NewRoom(w, "")
	}
	if rest, ok := strings.CutPrefix(s, zonePrefix); ok {
		w, z, ok := strings.Cut(rest, ":")
		if ok && z != "" {
			return NewRoom(w, z)
		}
	}
	return Room{}, Errorf(CodeInvalidRoom,
		"%s is not a room: write warehouse:{warehouse} or zone:{warehouse}:{zone}", quote(s))
}

// String returns the text form, which [ParseRoom] reads.
func (r Room) String() string {
	if r.Zone == "" {
		return warehousePrefix + r.Warehouse
	}
	return zonePrefix + r.Warehouse + ":" + r.Zone
}

func (r Room) append(dst []byte) []byte {
	if r.Zone == "" {
		return append(append(dst, warehousePrefix...), r.Warehouse...)
	}
	dst = append(append(append(dst, zonePrefix...), r.Warehouse...), ':')
	return append(dst, r.Zone...)
}

// IsZero reports whether r is no room.
func (r Room) IsZero() bool { return r == Room{} }

func checkName(what, name string) error {
	switch {
	case name == "":
		return Errorf(CodeInvalidRoom, "%s is missing: give it a name of 1 to %d characters", what, MaxNameLen)
	case len(name) > MaxNameLen:
		return Errorf(CodeInvalidRoom, "%s name has %d characters: at most %d are allowed", what, len(name), MaxNameLen)
	}
	for i := 0; i < len(name); i++ {
		if !isNameByte(name[i]) {
			return Errorf(CodeInvalidRoom, "%s name %s: only A-Z a-z 0-9 . _ - are allowed", what, quote(name))
		}
	}
	return nil
}

func isNameByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		return true
	}
	return false
}

// quote quotes what a stranger sent for an error message, shortened so that the message stays one
// readable line.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", s)
}
