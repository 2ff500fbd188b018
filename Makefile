# Zonecast: `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Start the server with everything embedded
	cd backend && go run ./cmd/zonecast

.PHONY: build
build: ## Build bin/zonecast
	cd backend && go build -o ../bin/zonecast ./cmd/zonecast

.PHONY: test
test: deps lint test-go test-client ## Run all tests; install what they need first

.PHONY: test-go
test-go: ## Run the Go tests of all modules, with -race
	cd backend && go test -race -p 2 -timeout 15m $$(cd . && go list ./... | grep -v /e2e)
	cd web && go test -race -p 2 ./...
	cd loadtest && go test -race -p 2 ./...

.PHONY: test-client
test-client: build web/client/node_modules ## Check types, size and behaviour of the TypeScript client
	cd web/client && npm run typecheck && npm test

.PHONY: lint
lint: ## Check formatting and run go vet
	@test -z "$$(gofmt -l backend web loadtest)" || { echo "not formatted, run gofmt -w on:"; gofmt -l backend web loadtest; exit 1; }
	cd backend && go vet ./...
	cd web && go vet ./...
	cd loadtest && go vet ./...

%/node_modules: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund
	@touch $@

.PHONY: deps
deps: ## Install what the tests need (as root), or say what to install
	@bash deploy/test-deps.sh
