module github.com/zonecast/zonecast/loadtest/peers

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0
	github.com/centrifugal/centrifuge v0.40.0
	github.com/zonecast/zonecast/backend v0.0.0
	github.com/zonecast/zonecast/backend/wire v0.1.0
	github.com/zonecast/zonecast/loadtest v0.0.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/centrifugal/fdelta v0.0.3 // indirect
	github.com/centrifugal/protocol v0.23.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/maypok86/otter/v2 v2.3.0 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_golang v1.25.0 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/quagmt/udecimal v1.10.1 // indirect
	github.com/redis/rueidis v1.0.78 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/sync v0.25.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace (
	github.com/zonecast/zonecast/backend => ../../backend
	github.com/zonecast/zonecast/loadtest => ..
	github.com/zonecast/zonecast/web => ../../web
)

replace (
	github.com/zonecast/zonecast/backend/publish => ../../backend/publish
	github.com/zonecast/zonecast/backend/subscribe => ../../backend/subscribe
	github.com/zonecast/zonecast/backend/wire => ../../backend/wire
)
