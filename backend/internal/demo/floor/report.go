package floor

// Severity is how urgent an alert is.
type Severity string

// The severities of alerts.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// The types below are the data of the well-known events, as they stand in JSON. Times are
// milliseconds since 1970, rates and hourly targets are units per hour.

// An Alert is the data of an ALERT. It is published when it is raised, and once more with the time
// when it is over.
type Alert struct {
	ID        string   `json:"id"`
	Severity  Severity `json:"severity"`
	Title     string   `json:"title"`
	Detail    string   `json:"detail"`
	RaisedAt  int64    `json:"raisedAt"`
	ClearedAt int64    `json:"clearedAt,omitzero"`
}

// A ZoneUpdate is the data of a ZONE_UPDATE.
type ZoneUpdate struct {
	Now        int64 `json:"now"`
	Workers    int   `json:"workers"`
	UnitsDone  int   `json:"unitsDone"` // since the shift began
	PickRate   int   `json:"pickRate"`
	OrdersOpen int   `json:"ordersOpen"`
}

// A ZoneSnapshot is the data of a zone's SHIFT_SNAPSHOT.
type ZoneSnapshot struct {
	Shift              string  `json:"shift"`
	StartsAt           int64   `json:"startsAt"`
	EndsAt             int64   `json:"endsAt"`
	Now                int64   `json:"now"`
	Zone               string  `json:"zone"`
	Name               string  `json:"name"`
	Workers            int     `json:"workers"`
	UnitsPerHourTarget int     `json:"unitsPerHourTarget"`
	UnitsTarget        int     `json:"unitsTarget"` // of the whole shift
	UnitsDone          int     `json:"unitsDone"`
	PickRate           int     `json:"pickRate"`
	OrdersOpen         int     `json:"ordersOpen"`
	Alerts             []Alert `json:"alerts"` // those of the zone that are open; never nil
}

// A WarehouseSnapshot is the data of a warehouse's SHIFT_SNAPSHOT: the sums of its zones.
type WarehouseSnapshot struct {
	Shift              string `json:"shift"`
	StartsAt           int64  `json:"startsAt"`
	EndsAt             int64  `json:"endsAt"`
	Now                int64  `json:"now"`
	Workers            int    `json:"workers"`
	UnitsPerHourTarget int    `json:"unitsPerHourTarget"`
	UnitsTarget        int    `json:"unitsTarget"`
	UnitsDone          int    `json:"unitsDone"`
	PickRate           int    `json:"pickRate"`
	OrdersOpen         int    `json:"ordersOpen"`
	// Those of the whole building that are open; never nil.
	Alerts []Alert       `json:"alerts"`
	Zones  []ZoneSummary `json:"zones"`
}

// A ZoneSummary is one zone in a WarehouseSnapshot.
type ZoneSummary struct {
	Zone        string `json:"zone"`
	Name        string `json:"name"`
	PickRate    int    `json:"pickRate"`
	UnitsDone   int    `json:"unitsDone"`
	UnitsTarget int    `json:"unitsTarget"`
	Workers     int    `json:"workers"`
	OrdersOpen  int    `json:"ordersOpen"`
}

// A Notice is an alert that was raised or cleared, and where.
type Notice struct {
	Warehouse string
	Zone      string // empty when it concerns the whole building
	Alert     Alert
}
