# Zonecast: `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The Go modules of the workspace. backend/wire, publish and subscribe are what services depend on.
MODULES := backend backend/wire backend/publish backend/subscribe web loadtest

export ZONECAST_TEST_ALL := 1 # a missing program fails the tests instead of leaving them out

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Start the server with everything embedded, on http://127.0.0.1:3001
	cd backend && go run ./cmd/zonecast

.PHONY: demo
demo: ## Start the server with a simulated shift (DEMO_SPEED=60, DEMO_SEED=2, DEMO_CLIENTS=500 …)
	cd backend && go run ./cmd/zonecast demo

.PHONY: build
build: ## Build bin/zonecast and bin/loadtest
	cd backend && go build -ldflags "-X main.version=$(VERSION)" -o ../bin/zonecast ./cmd/zonecast
	cd loadtest && go build -ldflags "-X main.version=$(VERSION)" -o ../bin/loadtest .

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: load
load: build ## Measure a running server: 1,000 connections, 100 messages/s, 60 s (WS_URL=… CONNECTIONS=… DURATION=…)
	bin/loadtest --threshold 'latency.p95<100ms' --threshold 'latency.p99<250ms' --threshold 'delivered==100%'

.PHONY: load-redis
load-redis: build deps ## The same through two instances that share a real redis-server, which it starts
	cd backend && go run ./cmd/stack --root .. --bin ../bin/zonecast --instances 2 --bare -- ../bin/loadtest \
		--threshold 'latency.p95<100ms' --threshold 'latency.p99<250ms' --threshold 'delivered==100%'

.PHONY: benchmarks
benchmarks: build ## Run the four benchmarks of loadtest/scenarios, each against a server of its own (5 minutes)
	loadtest/scenarios/run.sh --out bin/benchmarks loadtest/scenarios/benchmark-*.yaml

.PHONY: targets
targets: build ## Check every line of the targets table (6 minutes)
	loadtest/scenarios/run.sh --out bin/targets loadtest/scenarios/target-*.yaml

.PHONY: scenario
scenario: build ## Run one scenario file against servers of its own (FILE=loadtest/scenarios/flaky.yaml INSTANCES=2)
	loadtest/scenarios/run.sh --instances $(INSTANCES) --out bin/scenario $(FILE)

INSTANCES ?= 1
FILE ?= loadtest/scenarios/flaky.yaml

.PHONY: capacity
capacity: build ## 50,000 connections over three instances, then 100,000 over six, idle and busy (10 minutes, 24 GiB)
	CONNECTIONS=50000 loadtest/scenarios/run.sh --instances 3 --out bin/capacity-50000 loadtest/scenarios/capacity-*.yaml
	CONNECTIONS=100000 ZONES=20 loadtest/scenarios/run.sh --instances 6 --out bin/capacity-100000 loadtest/scenarios/capacity-*.yaml

.PHONY: test-many
test-many: build ## Connect 19,000 clients to one instance; every message must reach each of them (MANY=10000 for fewer)
	bash deploy/many.sh bin $(MANY)

.PHONY: stack
stack: build deps ## Start Redis, three instances, nginx and Prometheus on this machine, without containers (FIRST_PORT=18080; logs in bin/stack-logs)
	cd backend && go build -o ../bin/stack ./cmd/stack
	bin/stack --root . --bin bin/zonecast --first-port $(FIRST_PORT) --logs bin/stack-logs

FIRST_PORT ?= 18080 # of make stack

.PHONY: up
up: ## Start the full stack with docker compose, on http://127.0.0.1:8080; its secrets are in .env
	@bash deploy/secrets.sh .env
	docker compose up --build --wait

.PHONY: test-compose
test-compose: ## Build the image, run the compose file in a container engine, restart and kill an instance under load (root, 10 minutes)
	bash deploy/test-compose.sh

.PHONY: pin
pin: ## Add the digests of the images to docker-compose.yml and deploy/Dockerfile (needs docker and a registry)
	bash deploy/pin.sh docker-compose.yml deploy/Dockerfile

.PHONY: down
down: ## Stop what make up started
	docker compose down

.PHONY: test
test: deps lint stale test-go test-python test-client test-web test-deploy test-e2e ## Run all tests; install what they need first

.PHONY: test-go
test-go: ## Run the Go tests of all modules, with -race; without it the outbox, too, where it writes past the scheduler, and the simulation
	cd backend && go test -race -p 4 -timeout 20m $$(go list ./... | grep -v /e2e)
	cd backend && go test -timeout 20m ./internal/outbox ./internal/sim
	for module in $(filter-out backend,$(MODULES)); do (cd $$module && go test -race -p 2 -timeout 20m ./...); done
	cd loadtest/peers && GOWORK=off go test -race -p 2 -timeout 20m ./...

.PHONY: test-python
test-python: build ## Test the Python client against a server
	cd web/python && ZONECAST_BIN=$(CURDIR)/bin/zonecast python3 -B -W error -m unittest discover -s tests

.PHONY: test-deploy
test-deploy: build ## Hold docker-compose.yml and the Helm chart to all that they name
	for module in compose helm; do (cd deploy/tools/$$module && GOWORK=off ZONECAST_BIN=$(CURDIR)/bin/zonecast LOADTEST_BIN=$(CURDIR)/bin/loadtest go test -count 1 .); done

.PHONY: test-e2e
test-e2e: build ## Test the deployment files and every promise over real processes
	cd backend && ZONECAST_BIN=$(CURDIR)/bin/zonecast LOADTEST_BIN=$(CURDIR)/bin/loadtest go test -race -count 1 -timeout 20m ./e2e

.PHONY: chaos
chaos: build deps ## Let Redis, its parts, instances and clocks fail for as long as they do in bad times; count every offset
	cd backend && ZONECAST_BIN=$(CURDIR)/bin/zonecast go test -race -count 1 -timeout 30m -v -run TestChaos ./e2e -full

.PHONY: chaos-alerts
chaos-alerts: build deps ## Let what the runbook names break, and hold its table to the alerts that fire (30 minutes)
	cd backend && ZONECAST_BIN=$(CURDIR)/bin/zonecast go test -count 1 -timeout 60m -v -run TestFaultsRaise ./e2e -full

SEEDS ?= 10000
BUG_SEEDS ?= 200

.PHONY: simulate
simulate: ## Simulate clusters under faults, each decided by a seed (SEEDS=10000 FIRST=1): docs/simulation.md
	cd backend && go test -count 1 -timeout 60m ./internal/sim -run TestSeeds -first $(or $(FIRST),1) -seeds $(SEEDS)

.PHONY: simulate-bugs
simulate-bugs: ## Plant each bug of backend/internal/sim/testdata/bugs and simulate until it is found (BUG_SEEDS=200)
	cd backend && go test -count 1 -timeout 120m ./internal/sim -run TestPlantedBugsAreFound -planted all -seeds $(BUG_SEEDS)

.PHONY: rolling
rolling: build deps ## Restart and kill instances under thousands of clients, take Redis away for 20 s; print what was lost, and for how long
	cd backend && ZONECAST_BIN=$(CURDIR)/bin/zonecast go test -count 1 -timeout 10m -v -run "TestPromise(RollingRestart|ClientsOfAKilled|WhatIsRefused)" ./e2e -full

.PHONY: upgrade
upgrade: build deps ## Roll the program of an earlier commit into this one under load, and back (FROM=v1.0.0)
	bash deploy/build-at.sh $(FROM) bin/previous
	cd backend && ZONECAST_BIN=$(CURDIR)/bin/zonecast go test -count 1 -timeout 10m -v -run TestPromiseRollingRestart ./e2e -previous $(CURDIR)/bin/previous

.PHONY: test-client
test-client: build web/client/node_modules web/client/test/node-versions/node_modules ## Check types, size, package and behaviour of the TypeScript client
	cd web/client && ZONECAST_BIN=$(CURDIR)/bin/zonecast npm run check

.PHONY: test-web
test-web: build web/node_modules web/e2e/node_modules web/client/node_modules ## Test dashboard, screen and client in headless Chromium
	cd web && npm run typecheck && npm test
	cd web/client && npm run build
	cd web/e2e && ZONECAST_BIN=$(CURDIR)/bin/zonecast npm test

.PHONY: test-field
test-field: build web/e2e/node_modules web/client/node_modules ## Let Chromium go offline, sleep past its token, meet restarts and prefixes; print a table (5 minutes)
	cd web/client && npm run build
	cd web/e2e && ZONECAST_BIN=$(CURDIR)/bin/zonecast node field-table.js

.PHONY: soak
soak: build web/e2e/node_modules ## Let a screen, a board and the dashboard stand for an hour of quick shifts and drops; print their heaps (MINUTES=60)
	cd web/e2e && ZONECAST_BIN=$(CURDIR)/bin/zonecast node soak.js $(MINUTES)

MINUTES ?= 60

.PHONY: generate
generate: web/node_modules ## Make templ's Go code, the assets and docs/configuration.md anew
	cd web && $(TEMPL) generate
	cd web && npm run build
	cd backend && go test ./internal/config -update

.PHONY: stale
stale: web/node_modules ## Check that committed generated files are what their sources make
	cd web && $(TEMPL) generate -check
	cd web && npm run check-stale

TEMPL := go run github.com/a-h/templ/cmd/templ@v0.3.1020

.PHONY: bench
bench: ## Run the Go benchmarks; compare two outputs with benchstat
	cd backend && go test -run '^$$' -bench . -benchmem -count 6 ./wire ./internal/auth ./internal/outbox ./internal/hub ./internal/transport ./internal/transport/ws ./internal/canary

.PHONY: bench-return
bench-return: build web/client/node_modules ## Measure how soon 1,000 clients are back after a network that was away (RETURN='--transport longPolling')
	cd web/client && npm run build && ZONECAST_BIN=$(CURDIR)/bin/zonecast node bench/return.mjs $(RETURN)

.PHONY: bench-peers
bench-peers: build loadtest/peers/socketio/node_modules ## Compare with Centrifuge and Socket.IO on this machine (20 minutes; PEERS='--only zonecast,centrifuge')
	cd loadtest/peers && GOWORK=off go run . --zonecast ../../bin/zonecast --out ../../bin/peers.json $(PEERS)

.PHONY: test-peers
test-peers: build loadtest/peers/socketio/node_modules ## Try the comparison, briefly
	cd loadtest/peers && GOWORK=off go vet ./... && GOWORK=off go test -race ./... && GOWORK=off go run . --zonecast ../../bin/zonecast --quick

FUZZTIME ?= 10s

.PHONY: fuzz
fuzz: ## Fuzz every decoder that a stranger can reach, for FUZZTIME each (FUZZTIME=1m)
	for module in $(MODULES); do bash deploy/fuzz.sh $$module $(FUZZTIME); done
	GOWORK=off bash deploy/fuzz.sh loadtest/peers $(FUZZTIME)

.PHONY: attack
attack: build deps ## Flood servers of its own on loopback in many ways, and print what honest clients saw meanwhile (10 minutes)
	cd backend && ZONECAST_BIN=$(CURDIR)/bin/zonecast go test -count 1 -timeout 20m -v -run "TestHonestClientsOutlastAttacks|TestAWarehouseAtTenTimesItsQuota|TestWrongTokensByTheThousand" ./e2e -full

.PHONY: vuln
vuln: ## Look for published weaknesses in all dependencies (govulncheck, npm audit); exit code 3 without their databases
	@bash deploy/vuln.sh

.PHONY: sbom
sbom: ## Write what everything is made of to bin/sbom (CycloneDX JSON)
	@bash deploy/sbom.sh bin/sbom

.PHONY: release
release: ## Make the archives, checksums and SBOM of a release in bin/release (VERSION=1.2.0)
	bash deploy/sbom.sh bin/release/sbom
	bash deploy/release.sh $(VERSION) bin/release

.PHONY: lint
lint: ## Check formatting and run go vet
	@test -z "$$(gofmt -l backend web loadtest deploy)" || { echo "not formatted, run gofmt -w on:"; gofmt -l backend web loadtest deploy; exit 1; }
	@find backend web loadtest deploy -name node_modules -prune -o -name '*.go' ! -name '*_templ.go' -print | xargs awk '{ l = $$0; gsub(/\t/, "    ", l) } \
		l ~ /^ *\/\/ [^ ]/ && length(l) > 100 && l !~ /https?:/ { print FILENAME ":" FNR ": a comment of more than 100 columns"; bad = 1 } END { exit bad }'
	for module in $(MODULES); do (cd $$module && go vet ./...); done
	for module in loadtest/peers deploy/tools/compose deploy/tools/helm; do (cd $$module && GOWORK=off go vet .); done

PLATFORMS := linux/amd64 linux/arm64 linux/386 linux/arm darwin/arm64 windows/amd64

.PHONY: cross
cross: ## Check that the server and the Go client build and vet on every platform that README names
	@for platform in $(PLATFORMS); do \
		echo "$$platform"; \
		(cd backend && CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} go vet ./cmd/zonecast ./publish ./wire); \
	done

%/node_modules: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund
	@touch $@

.PHONY: deps
deps: ## Install what the tests need (as root), or say what to install
	@bash deploy/test-deps.sh
