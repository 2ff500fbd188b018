#!/bin/bash
# Makes stand-ins for base images where there is no registry: standins.sh <file>… names compose files and Dockerfiles.
# Images that the engine has, or can pull, stay as they are. A stand-in has the same name, the programs of Debian's
# packages (sid, whose nginx is of the same line) and Go of this machine, and the same user, folders and command. Grafana
# is not packaged: its stand-in answers /api/health, so that what waits for it is tried, and nothing else of it.
# Needs root, debootstrap and docker. Prints the names of the stand-ins.
set -eu -o pipefail
base=zonecast-standin:base

# make <image> <instruction of a Dockerfile …>: what stands on standard input is its context.
make() {
	printf 'FROM %s\n' "$base" | cat - <(printf '%s\n' "${@:2}") |
		docker build -q -t "$1" --label zonecast.standin=true -f - "$context" >/dev/null
	echo "$1"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
context=$work/context
mkdir "$context"
export DOCKER_BUILDKIT=0 # which the oldest engines have without a plugin

images=$(sed -n -E 's/^ *(image:|FROM( --platform=[^ ]+)?) ([a-z][a-z0-9._/-]*:v?[0-9][a-zA-Z0-9._-]+)(@sha256:[0-9a-f]+)?( .*)?$/\3\4/p' "$@" | sort -u)
for image in $images; do
	! docker image inspect "$image" >/dev/null 2>&1 || continue
	! timeout 60 docker pull -q "$image" >/dev/null 2>&1 || continue
	if ! docker image inspect $base >/dev/null 2>&1; then
		debootstrap --variant=minbase --include=redis-server,nginx-light,prometheus,prometheus-alertmanager,prometheus-redis-exporter,prometheus-nginx-exporter,wget,busybox,ca-certificates \
			sid "$work/root" http://deb.debian.org/debian >"$work/log" 2>&1 || { tail -5 "$work/log" >&2; exit 1; }
		# The packages' own settings must not be what makes it work.
		rm -rf "$work"/root/etc/nginx/* "$work"/root/etc/redis "$work"/root/etc/prometheus "$work"/root/var/cache/apt/archives/*
		tar -C "$work/root" -c . | docker import - $base >/dev/null
	fi
	case $image in
	redis:*) make "$image" "RUN mkdir -p /data && chown 999:1000 /data" "VOLUME /data" "WORKDIR /data" ;;
	nginx:*) make "$image" "RUN useradd -r -s /usr/sbin/nologin nginx && mkdir -p /var/cache/nginx && rm -rf /var/lib/nginx && ln -s /var/cache/nginx /var/lib/nginx" "STOPSIGNAL SIGQUIT" \
		'CMD ["nginx", "-g", "daemon off;"]' ;;
	prom/prometheus:*) make "$image" "RUN mkdir /prometheus && chown nobody:nogroup /prometheus" "USER nobody" "VOLUME /prometheus" \
		'ENTRYPOINT ["/usr/bin/prometheus"]' ;;
	prom/alertmanager:*) make "$image" "RUN mkdir /alertmanager && chown nobody:nogroup /alertmanager" "USER nobody" "VOLUME /alertmanager" \
		'ENTRYPOINT ["/usr/bin/prometheus-alertmanager"]' ;;
	oliver006/redis_exporter:*) make "$image" "USER nobody" 'ENTRYPOINT ["/usr/bin/prometheus-redis-exporter"]' ;;
	nginx/nginx-prometheus-exporter:*) make "$image" "USER nobody" 'ENTRYPOINT ["/usr/bin/prometheus-nginx-exporter"]' ;;
	grafana/grafana:*) make "$image" "RUN mkdir -p /srv/api && echo '{\"database\":\"ok\"}' >/srv/api/health" "USER 472" \
		'CMD ["busybox", "httpd", "-f", "-p", "3000", "-h", "/srv"]' ;;
	golang:*)
		cp -r "$(go env GOROOT)" "$context/go"
		cp /etc/ssl/certs/ca-certificates.crt "$context/"
		make "$image" "COPY go /usr/local/go" "COPY ca-certificates.crt /etc/ssl/certs/" \
			"ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
			"ENV GOPROXY=$(go env GOPROXY) GOTOOLCHAIN=local"
		rm -rf "${context:?}"/*
		;;
	*)
		echo "no stand-in for $image: make one in deploy/standins.sh" >&2
		exit 1
		;;
	esac
done
