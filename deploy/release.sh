#!/bin/bash
# Makes what a release has: release.sh <version> <folder> [os/arch …]
#
#   zonecast-<version>-<os>-<arch>.tar.gz   the program, its licence and its changes
#   SHA256SUMS                              of all of them, and of sbom/*.cdx.json where deploy/sbom.sh has written them
#
# The same commit makes the same bytes, with the same version of Go: no path of this machine, no time but the commit's.
set -eu -o pipefail
version=$1 out=$2
shift 2
[ $# -gt 0 ] || set -- linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
[[ $version =~ ^[0-9A-Za-z][0-9A-Za-z.+-]*$ ]] || { echo "the version $version is no name for a file: give one like 1.2.0" >&2; exit 1; }
cd "$(dirname "$0")/.."
when=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for platform in "$@"; do
	name=zonecast-$version-${platform%/*}-${platform#*/}
	mkdir "$work/$name"
	(cd backend && GOWORK=off CGO_ENABLED=0 GOOS=${platform%/*} GOARCH=${platform#*/} go build -trimpath -buildvcs=false \
		-ldflags "-s -w -buildid= -X main.version=$version" -o "$work/$name/zonecast" ./cmd/zonecast)
	cp LICENSE CHANGELOG.md "$work/$name/"
	tar -C "$work" --sort=name --mtime="@$when" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -c "$name" | gzip -n -9 >"$out/$name.tar.gz"
	echo "$name.tar.gz"
done
shopt -s nullglob
(cd "$out" && sha256sum zonecast-"$version"-*.tar.gz sbom/*.cdx.json >SHA256SUMS)
