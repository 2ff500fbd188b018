#!/bin/sh
# Puts a backup in the place of what Redis has: reads it (RDB) from standard input, and writes the append-only file that
# Redis reads at its next start. Redis must not run meanwhile. What was there before stays beside it.
#
#   docker compose stop
#   docker compose run --rm -T --no-deps redis sh /usr/local/etc/redis/restore.sh <zonecast.rdb
#   docker compose up -d
#
#   restore.sh [folder of Redis's data, .]
set -eu
cd "${1:-.}"
cat >restored.rdb
[ "$(head -c 5 restored.rdb)" = REDIS ] || { rm restored.rdb; echo "restore: standard input is no backup of Redis (RDB)" >&2; exit 2; }
socket=$(mktemp -u)
# Without the append-only file Redis loads the backup; then it writes one.
redis-server --port 0 --unixsocket "$socket" --dir . --dbfilename restored.rdb --appendonly no --save "" \
	--appenddirname restoring >&2 &
trap 'kill $! 2>/dev/null || true; rm -rf restored.rdb restoring' EXIT
ask() { redis-cli -s "$socket" "$@"; }
until [ "$(ask ping 2>/dev/null)" = PONG ]; do
	kill -0 $! 2>/dev/null || { echo "restore: Redis can't load this backup" >&2; exit 1; }
	sleep 0.2
done
ask config set appendonly yes >/dev/null
while ask info persistence | grep -Eq '^aof_rewrite_(in_progress|scheduled):1'; do sleep 0.2; done
ask info persistence | grep -q '^aof_last_bgrewrite_status:ok' || { echo "restore: the append-only file can't be written" >&2; exit 1; }
ask shutdown nosave
wait $! || true
rm restored.rdb
if [ -e appendonlydir ]; then
	before=appendonlydir.$(date +%Y%m%dT%H%M%S)
	mv appendonlydir "$before"
	echo "restore: what was there is in $before" >&2
fi
mv restoring appendonlydir
echo "restore: done, start Redis" >&2
