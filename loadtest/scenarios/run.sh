#!/usr/bin/env bash
# Runs scenario files, each against servers of its own that are started for it and end with it.
#
#   run.sh [--instances N] [--out FOLDER] FILE.yaml …
#
# One instance has the memory broker; several share a redis-server. Settings of the environment (CONNECTIONS, DURATION …) go
# before those of the files. Needs bin/zonecast and bin/loadtest: make build. Exit code: that of the first run that is not good.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${BIN:-$here/../../bin}
instances=1
out=
while [[ ${1:-} == --* ]]; do
  case $1 in
    --instances) instances=$2 ;;
    --out) out=$2 ;;
    *) echo "run.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
[[ $# -gt 0 ]] || { echo "run.sh: name scenario files" >&2; exit 2; }
for program in zonecast loadtest; do
  [[ -x $bin/$program ]] || { echo "run.sh: $bin/$program is missing: make build" >&2; exit 2; }
done
[[ -z $out ]] || mkdir -p "$out"

folder=$(mktemp -d)
pids=()
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  pids=()
}
trap 'stop; rm -rf "$folder"' EXIT

# start_servers starts what a run needs and sets WS_URL.
start_servers() {
  local redis= urls=
  if [[ $instances -gt 1 ]]; then
    command -v redis-server >/dev/null || { echo "run.sh: redis-server is missing: bash deploy/test-deps.sh" >&2; exit 2; }
    redis-server --port 0 --unixsocket "$folder/redis.sock" --dir "$folder" --save '' --appendonly no >"$folder/redis.log" 2>&1 &
    pids+=($!)
    redis=unix://$folder/redis.sock
    for _ in $(seq 100); do [[ -S $folder/redis.sock ]] && break; sleep 0.05; done
  fi
  for i in $(seq "$instances"); do
    local log=$folder/zonecast-$i.log
    env ${redis:+REDIS_URL=$redis} NODE_NAME="node-$i" LISTEN=127.0.0.1:0 LOG_LEVEL=warn \
      "$bin/zonecast" >"$log" 2>&1 &
    pids+=($!)
    local url=
    for _ in $(seq 200); do
      url=$(grep -om1 'http://127\.0\.0\.1:[0-9]*' "$log" || true)
      [[ -n $url ]] && break
      sleep 0.05
    done
    [[ -n $url ]] || { echo "run.sh: an instance did not start:" >&2; cat "$log" >&2; exit 1; }
    urls+=${urls:+,}$url
  done
  export WS_URL=$urls
}

worst=0
for file in "$@"; do
  name=$(basename "$file" .yaml)
  start_servers
  code=0
  "$bin/loadtest" --file "$file" ${out:+--json "$out/$name.json" --html "$out/$name.html" --csv "$out/$name.csv"} || code=$?
  stop
  [[ $worst -ne 0 ]] || worst=$code
  echo
done
exit "$worst"
