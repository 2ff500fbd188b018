#!/bin/sh
# Starts Redis with four users: zonecast, with REDIS_PASSWORD, for the instances; backup, with the same, who may copy what
# there is; probe, who may ask whether it works; exporter, who may ask for figures. Everybody else, and whoever has the instances' password but wants to administer the
# server, is refused. Without REDIS_PASSWORD whoever reaches it may do what the instances may: on the network of the
# stack these are the instances and the exporter.
#
#   start.sh [argument of redis-server …]
#
# With REDIS_CLUSTER, the masters of a cluster as host:port or host:port@bus-port, it is the one of them that
# REDIS_CLUSTER_NODE counts, from 1. Each has the same share of the slots. Their addresses may change at any start: each
# writes down at its start who has which.
set -eu
users=$(mktemp)
default=off
password=nopass
rights='~* &* +@read +@write +@pubsub +@connection +@scripting -@dangerous +time +info +cluster|slots'
if [ -n "${REDIS_PASSWORD-}" ]; then
	password="#$(printf %s "$REDIS_PASSWORD" | sha256sum | cut -d ' ' -f 1)"
else
	default="on nopass $rights" # which is who has a name without a password to go-redis
fi
cat >"$users" <<EOF
user default $default
user zonecast on $password $rights
user backup on $password -@all +ping +replconf +sync +psync
user probe on nopass -@all +ping +cluster|info
user exporter on nopass -@all +ping +info +cluster|info +latency|latest +latency|histogram +slowlog|len
EOF
unset REDIS_PASSWORD password

if [ -n "${REDIS_CLUSTER-}" ]; then
	total=$(echo "$REDIS_CLUSTER" | wc -w)
	n=0
	: >nodes.conf
	for node in $REDIS_CLUSTER; do
		n=$((n + 1))
		host=${node%%:*}
		port=${node#*:}
		address=$host
		case $host in
		*[!0-9.]*) # the name of a container is known once it runs
			until address=$(getent hosts "$host" | cut -d ' ' -f 1) && [ -n "$address" ]; do sleep 0.2; done ;;
		esac
		flags=master
		if [ "$n" -eq "${REDIS_CLUSTER_NODE:?set it: which of REDIS_CLUSTER this one is}" ]; then
			flags=myself,master self=$address
		fi
		case $port in *@*) ;; *) port=$port@$((port + 10000)) ;; esac
		printf '%040d %s:%s %s - 0 0 %d connected %d-%d\n' "$n" "$address" "$port" "$flags" "$n" \
			$(((n - 1) * 16384 / total)) $((n * 16384 / total - 1)) >>nodes.conf
	done
	echo "vars currentEpoch $total lastVoteEpoch 0" >>nodes.conf
	set -- --cluster-enabled yes --cluster-config-file nodes.conf \
		--cluster-announce-ip "${self:?REDIS_CLUSTER_NODE: there are $total}" "$@"
fi
exec redis-server "${REDIS_CONF:-/usr/local/etc/redis/redis.conf}" --aclfile "$users" "$@"
