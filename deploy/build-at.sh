#!/bin/bash
# Builds the program of another commit, from a copy of its files: build-at.sh <commit or tag> <file>
set -eu -o pipefail
[ $# = 2 ] && [ -n "$1" ] || { echo "say which commit or tag: make upgrade FROM=v1.0.0" >&2; exit 2; }
cd "$(dirname "$0")/.."
git rev-parse --quiet --verify "$1^{commit}" >/dev/null || { echo "$1 is no commit or tag of this repository" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git archive "$1" | tar -x -C "$work"
file=$(realpath -m "$2")
(cd "$work/backend" && GOWORK=off CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$1" -o "$file" ./cmd/zonecast)
