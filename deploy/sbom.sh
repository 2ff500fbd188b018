#!/bin/bash
# Writes what the modules and packages are made of, as CycloneDX JSON: sbom.sh <folder>.
set -eu -o pipefail
GOMOD=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
mkdir -p "$1"
out=$(cd "$1" && pwd)
# gomod <name> <folder> <what cyclonedx-gomod is asked for …>
gomod() {
	(cd "$2" && GOWORK=off go run $GOMOD "${@:3}" -json -output "$out/$1.cdx.json" .)
	echo "$out/$1.cdx.json"
}
gomod backend backend mod
gomod loadtest loadtest mod
gomod web web mod
for package in web web/client; do
	name=npm-$(tr / - <<<"$package")
	npm --prefix "$package" sbom --package-lock-only --sbom-format cyclonedx >"$out/$name.cdx.json"
	echo "$out/$name.cdx.json"
done
