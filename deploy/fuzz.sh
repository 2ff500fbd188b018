#!/bin/bash
# Fuzzes every target of a module for so long each: fuzz.sh <module folder> <time>. It finds the targets itself.
#
# Go also counts as a failure that a worker is still busy with an input when the time is up, and it may spend a minute on
# making one interesting input smaller. Neither is a finding: so the latter is bounded in executions, and what fails
# without having written a failing input is tried once more.
set -eu -o pipefail
cd "$1"
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# fuzz <target> <package folder>
fuzz() {
	go test -run '^$' -fuzz "^$1\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 100x -timeout 0 "$2" </dev/null 2>&1 | tee "$output"
}

FUZZTIME=$2
go list -f '{{.Dir}} {{range .TestGoFiles}}{{.}} {{end}}{{range .XTestGoFiles}}{{.}} {{end}}' ./... | while read -r dir files; do
	[ -n "$files" ] || continue
	for target in $(cd "$dir" && sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $files); do
		echo "== $(basename "$1") ${dir#"$PWD"/} $target"
		fuzz "$target" "$dir" && continue
		if grep -q 'Failing input written to\|panic:\|build failed' "$output" || ! grep -q 'context deadline exceeded' "$output"; then
			exit 1
		fi
		echo "== $target: the time was up within an input: once more"
		fuzz "$target" "$dir"
	done
done
