module github.com/zonecast/zonecast/backend

go 1.26
