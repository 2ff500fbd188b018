#!/bin/bash
# Adds to each image of a compose file or a Dockerfile the digest of what its version is now: pin.sh <file>…
# Needs docker buildx and the registry. An image that has a digest gets the present one.
set -eu -o pipefail
for file in "$@"; do
	sed -n -E 's/^ *(image:|FROM( --platform=[^ ]+)?) ([a-z][a-z0-9._/-]*:[a-zA-Z0-9._-]+)(@sha256:[0-9a-f]+)?( .*)?$/\3/p' "$file" | sort -u |
		while read -r image; do
			digest=$(docker buildx imagetools inspect --format '{{json .Manifest.Digest}}' "$image" | tr -d '"') ||
				{ echo "the registry does not tell the digest of $image: is there a network?" >&2; exit 1; }
			[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "$image: $digest is no digest" >&2; exit 1; }
			sed -i -E "s#( |^)${image//./\\.}(@sha256:[0-9a-f]+)?( |\$)#\1$image@$digest\3#" "$file"
			echo "$file: $image@$digest"
		done
done
