#!/usr/bin/env bash
# Makes sure that the programs which the tests run are there: installs Debian's packages when it may, otherwise says
# exactly what to install, and fails. Nothing is skipped for want of a program.
set -eu
PATH=$PATH:/usr/sbin:/sbin

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need redis-server redis-server
need valkey-server valkey-server # knows WAITAOF, as Redis does from 7.2 on
need nginx nginx-light
need prometheus prometheus
need promtool prometheus
need amtool prometheus-alertmanager
need chromium chromium
need ss iproute2
need python3 python3
need curl curl
need systemd-analyze systemd
need gcc "gcc libc6-dev" # the race detector and a clock that jumps

for tool in go node npm; do
  command -v "$tool" >/dev/null 2>&1 || { echo "$tool is missing: install Go 1.26 or newer and Node 20 or newer first" >&2; exit 1; }
done
[ ${#missing[@]} -eq 0 ] && exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "the tests need programs that are not installed; install them with: sudo $install" >&2
  exit 1
fi
# The packages' own services must not start: the tests start what they need on free ports.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
apt-get update -qq
# Debian 12 has Valkey in its backports, which nothing else is taken from.
if [[ " ${missing[*]} " == *" valkey-server "* ]] && ! apt-cache policy valkey-server | grep -q 'Candidate: [0-9]'; then
  echo "deb http://deb.debian.org/debian bookworm-backports main" >/etc/apt/sources.list.d/bookworm-backports.list
  apt-get update -qq
fi
$install
