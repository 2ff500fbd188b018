#!/bin/bash
# As many connections as the descriptors of one process allow: many.sh <folder of the programs> [connections]. It fails unless every
# message reaches every client, and says what memory the server took.
set -eu -o pipefail
bin=$1 connections=${2:-19000}
ulimit -n 20000
log=$(mktemp)
MAX_CONNECTIONS=$((connections + 500)) RATE_LIMIT_TOKENS=0 "$bin/zonecast" --listen 127.0.0.1:0 >"$log" 2>&1 &
server=$!
trap 'kill $server; wait $server || true; rm -f "$log"' EXIT
address=
until [ -n "$address" ]; do
	sleep 0.1
	kill -0 $server || { cat "$log"; exit 1; }
	address=$(sed -n 's|.* addr=\([0-9.:]*\) .*|\1|p' "$log" | head -n 1)
done
CONNECTIONS=$connections MSG_PER_SEC=1 DURATION=20s "$bin/loadtest" --ws-url "ws://$address/ws" --threshold 'delivered==100%'
grep VmHWM /proc/$server/status
