module github.com/zonecast/zonecast/backend/subscribe

go 1.24

require github.com/zonecast/zonecast/backend/wire v0.1.0

replace github.com/zonecast/zonecast/backend/wire => ../wire
