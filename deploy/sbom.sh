#!/bin/bash
# Writes what the modules and packages are made of, as CycloneDX JSON: sbom.sh <folder>.
set -eu -o pipefail
GOMOD=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
mkdir -p "$1"
out=$(cd "$1" && pwd)
# folders <file>: those that have it, so that no module or package is left out
folders() { find . \( -name node_modules -o -path ./bin \) -prune -o -name "$1" -printf '%P\n' | sort | xargs -n 1 dirname; }

for module in $(folders go.mod); do
	name=$(tr / - <<<"$module")
	(cd "$module" && GOWORK=off go run $GOMOD mod -json -output "$out/$name.cdx.json" .)
	echo "$out/$name.cdx.json"
done
for package in $(folders package-lock.json); do
	name=npm-$(tr / - <<<"$package")
	npm --prefix "$package" sbom --package-lock-only --sbom-format cyclonedx >"$out/$name.cdx.json"
	echo "$out/$name.cdx.json"
done
