#!/bin/sh
# Starts Redis with two users: zonecast, with REDIS_PASSWORD, for the instances; probe, who may ping. Everybody else,
# and whoever has the instances' password but wants to administer the server, is refused.
#
#   start.sh [argument of redis-server …]
set -eu
: "${REDIS_PASSWORD:?set it: make up generates it}"
users=$(mktemp)
hash=$(printf %s "$REDIS_PASSWORD" | sha256sum | cut -d ' ' -f 1)
cat >"$users" <<EOF
user default off
user zonecast on #$hash ~* &* +@read +@write +@pubsub +@connection +@scripting -@dangerous +time +info +cluster|slots
user probe on nopass -@all +ping
EOF
unset REDIS_PASSWORD
exec redis-server "${REDIS_CONF:-/usr/local/etc/redis/redis.conf}" --aclfile "$users" "$@"
