#!/bin/bash
# Writes what the modules and packages are made of, as CycloneDX JSON: sbom.sh <folder>.
set -eu -o pipefail
GOMOD=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
mkdir -p "$1"
out=$(cd "$1" && pwd)
for module in backend web loadtest; do
	(cd "$module" && GOWORK=off go run $GOMOD mod -licenses -json -output "$out/$module.cdx.json" .)
	echo "$out/$module.cdx.json"
done
for package in web web/client; do
	name=npm-$(tr / - <<<"$package")
	npm --prefix "$package" sbom --package-lock-only --sbom-format cyclonedx >"$out/$name.cdx.json"
	echo "$out/$name.cdx.json"
done
