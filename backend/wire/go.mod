module github.com/zonecast/zonecast/backend/wire

go 1.24
