#!/bin/bash
# Fuzzes every target of a module for so long each: fuzz.sh <module folder> <time>. It finds the targets itself.
set -eu -o pipefail
cd "$1"
go list -f '{{.Dir}} {{range .TestGoFiles}}{{.}} {{end}}{{range .XTestGoFiles}}{{.}} {{end}}' ./... | while read -r dir files; do
	[ -n "$files" ] || continue
	for target in $(cd "$dir" && sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $files); do
		echo "== $(basename "$1") ${dir#"$PWD"/} $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$2" "$dir" </dev/null
	done
done
