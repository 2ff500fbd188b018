module github.com/zonecast/zonecast/web

go 1.26
