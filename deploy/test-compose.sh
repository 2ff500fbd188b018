#!/bin/bash
# Runs the compose file for real: test-compose.sh. Takes the engine that answers, else starts dockerd for itself (as root)
# and ends it again; takes docker compose, else builds it from its Go module; makes stand-ins of base images that it can't
# pull (standins.sh). Traffic stays on 127.0.0.1.
set -eu -o pipefail
cd "$(dirname "$0")/.."
state=${COMPOSE_TEST_DIR:-$(pwd)/tmp/compose}
mkdir -p "$state"

if ! docker info >/dev/null 2>&1; then
	if ! command -v dockerd >/dev/null || [ "$(id -u)" -ne 0 ]; then
		echo "no container engine answers: start one, or install docker.io, debootstrap and iptables and come back as root" >&2
		exit 1
	fi
	export DOCKER_HOST=unix://$state/docker.sock
	dockerd --data-root "$state/docker" --exec-root "$state/exec" --pidfile "$state/docker.pid" -H "$DOCKER_HOST" >"$state/dockerd.log" 2>&1 &
	engine=$!
	trap 'kill $engine; wait $engine || true' EXIT
	for _ in $(seq 60); do
		! docker info >/dev/null 2>&1 || break
		sleep 0.5
	done
	docker info >/dev/null || { tail -5 "$state/dockerd.log" >&2; exit 1; }
fi

compose=(docker compose)
if ! docker compose version >/dev/null 2>&1; then
	[ -x "$state/docker-compose" ] || (cd deploy/tools/compose && GOWORK=off go build -o "$state/docker-compose" github.com/docker/compose/v2/cmd)
	compose=("$state/docker-compose")
fi

bash deploy/standins.sh docker-compose.yml deploy/Dockerfile
files=docker-compose.yml
# Engines before 25 know no start_interval.
if dpkg --compare-versions "$(docker version -f '{{.Server.Version}}')" lt 25 2>/dev/null; then
	files=$files:deploy/docker-compose.engine-20.yml
fi
# An engine without the right to raise limits, as one without root, gives at most its own.
limit=$(ulimit -Hn)
if [ "$limit" != unlimited ] && [ "$limit" -lt 65536 ]; then
	{
		echo services:
		for service in backend-1 backend-2 backend-3 nginx; do
			printf '  %s: {ulimits: {nofile: {soft: %d, hard: %d}}}\n' $service "$limit" "$limit"
		done
	} >"$state/limits.yml"
	files=$files:$state/limits.yml
fi
COMPOSE="${compose[*]}" COMPOSE_FILE=$files COMPOSE_PATH_SEPARATOR=: \
	go test -C backend -count 1 -timeout 20m -v -tags compose -run TestCompose ./e2e/compose
