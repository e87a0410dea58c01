#!/bin/sh
# Installs the rivals from the distribution and runs the comparisons. Arguments go to the bench (-n ROUNDS, -only SECTIONS).
set -eu
cd "$(dirname "$0")/../.."
missing=$(for p in vagrant vagrant-libvirt dnsmasq-base openssh-client ansible python3-apt iproute2; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || echo "$p"
done)
if [ -n "$missing" ]; then
	sudo=$([ "$(id -u)" = 0 ] || echo sudo)
	# shellcheck disable=SC2086 # one word a package
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >&2
fi
exec go run ./test/bench "$@"
