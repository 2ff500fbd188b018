module github.com/zonecast/zonecast/backend

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0 // indirect
	github.com/gorilla/websocket v1.5.3 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
)
