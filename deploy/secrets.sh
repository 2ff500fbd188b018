#!/bin/bash
# Writes the secrets of the stack into a file of settings: secrets.sh <file>. What is there already, or is set in the
# environment, stays as it is. Nobody but the owner can read a file that it makes.
set -eu -o pipefail
umask 077
file=$1
for name in AUTH_TOKEN_SECRET PUBLISH_KEYS OPERATOR_PASSWORD CLUSTER_SECRET REDIS_PASSWORD; do
	[ -z "${!name-}" ] || continue
	! grep -qs "^[[:space:]]*\(export \)\?$name=" "$file" || continue
	# An editor may have left the last line without its end.
	[ ! -s "$file" ] || [ -z "$(tail -c 1 "$file")" ] || echo >>"$file"
	printf '%s=%s\n' "$name" "$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')" >>"$file"
	echo "generated $name in $file"
done
# An instance that lacks one of them must not start.
grep -qs "^[[:space:]]*\(export \)\?ALLOW_ANONYMOUS=" "$file" || echo ALLOW_ANONYMOUS=false >>"$file"
