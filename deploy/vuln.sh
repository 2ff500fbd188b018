#!/bin/bash
# Looks for published weaknesses in what the modules and packages use: vuln.sh. Exit code 0: none; 1: some were found;
# 3: a database can't be reached, and nothing is known about what it covers.
set -u -o pipefail
GOVULNCHECK=golang.org/x/vuln/cmd/govulncheck@v1.9.0
output=$(mktemp)
trap 'rm -f "$output"' EXIT
found=0 unknown=0

# look <what> <pattern of an unreachable database> <command …>
look() {
	local what=$1 unreachable=$2
	shift 2
	echo "== $what"
	if "$@" >"$output" 2>&1; then
		tail -n 3 "$output"
	elif grep -q "$unreachable" "$output"; then
		echo "the database of weaknesses can't be reached: nothing is known about $what. $(grep -m 1 "$unreachable" "$output")"
		unknown=1
	else
		cat "$output"
		found=1
	fi
}

# folders <file>: those that have it, so that no module or package is left out
folders() { find . \( -name node_modules -o -path ./bin \) -prune -o -name "$1" -printf '%P\n' | sort | xargs -n 1 dirname; }

for module in $(folders go.mod); do
	what=./...
	[ -n "$(find "$module" -name '*.go' -print -quit)" ] || what=tool # what is run, and has no code here
	look "Go module $module" 'vuln\.go\.dev\|dial tcp\|proxyconnect\|no such host' \
		bash -c "cd $module && GOWORK=off go run $GOVULNCHECK $what"
done
for package in $(folders package-lock.json); do
	look "npm package $package" 'audit endpoint returned an error\|EAI_AGAIN\|ENOTFOUND\|ECONNREFUSED\|ETIMEDOUT' \
		bash -c "cd $package && npm audit --package-lock-only --fetch-retries 0 --fetch-timeout 20000"
done
[ $found = 0 ] || exit 1
[ $unknown = 0 ] || exit 3
