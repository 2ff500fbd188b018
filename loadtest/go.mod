module github.com/zonecast/zonecast/loadtest

go 1.26

require github.com/zonecast/zonecast/backend v0.0.0

replace github.com/zonecast/zonecast/backend => ../backend
