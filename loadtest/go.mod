module github.com/zonecast/zonecast/loadtest

go 1.26.0

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0
	github.com/alecthomas/kong v1.17.0
	github.com/gorilla/websocket v1.5.3
	github.com/prometheus/procfs v0.22.0
	github.com/zonecast/zonecast/backend v0.0.0
	github.com/zonecast/zonecast/backend/wire v0.1.0
	go.yaml.in/yaml/v3 v3.0.6
	golang.org/x/sys v0.49.0
	golang.org/x/term v0.47.0
)

replace github.com/zonecast/zonecast/backend => ../backend

replace github.com/zonecast/zonecast/web => ../web

replace (
	github.com/zonecast/zonecast/backend/publish => ../backend/publish
	github.com/zonecast/zonecast/backend/subscribe => ../backend/subscribe
	github.com/zonecast/zonecast/backend/wire => ../backend/wire
)
