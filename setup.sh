#!/bin/sh
# Makes a Debian (or Ubuntu) machine ready to build, test and run Evenkeel. It installs the packages below from the machine's own archive, where they
# are missing, and starts the daemons of libvirt and docker where no service manager does. It changes nothing else. Run again, it is done at once.
#
#   ./setup.sh          everything
#   ./setup.sh --list   the packages, one a line
set -eu

# For each: what it is for.
packages='
ca-certificates          fetching packages and modules over TLS
debian-archive-keyring   the keys a lock is verified with
gcc libc6-dev pkg-config libvirt-dev   the libvirt provider (cgo)
mmdebstrap uidmap        building root trees, as a plain user too
e2fsprogs fdisk dosfstools mtools      disks without loop devices
grub-pc-bin grub-efi-amd64-bin grub-common   boot loaders, BIOS and UEFI
qemu-utils               qcow2
libvirt-daemon-system libvirt-clients libvirt-daemon-driver-qemu   the laptop tier
qemu-system-x86 seabios ovmf   its machines
docker.io iptables       the ci tier
openssh-client           tests of ssh-config against the real client
nftables iproute2 procps tar util-linux perl   the fake machines of the tests
strace busybox-static rpm sudo   tests of the collector of facts: that it writes nothing, under every shell, with other package managers
zsh fish                 tests of the hook and of completion in real shells
curl                     fetching the page of the demo
'
list() { echo "$packages" | sed 's/  .*//' | tr ' ' '\n' | sed '/^$/d'; }

if [ "${1:-}" = --list ]; then
	list
	exit
elif [ $# -gt 0 ]; then
	echo "setup.sh: got '$1', allowed is --list or nothing" >&2
	exit 1
fi

if ! command -v apt-get >/dev/null; then
	echo "setup.sh: this machine has no apt-get; install by hand what these packages hold:" >&2
	list >&2
	exit 1
fi

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

missing=$(for p in $(list); do
	# Another packaging of docker than the distribution's is as good, and apt would remove it for its own.
	[ "$p" != docker.io ] || ! command -v dockerd >/dev/null || continue
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || echo "$p"
done)
if [ -n "$missing" ]; then
	echo "setup: installing" $missing
	as_root apt-get update -q
	# shellcheck disable=SC2086 # one word a package
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
fi

# A service manager starts the daemons by itself; elsewhere (containers) they are started here and stay.
if [ ! -d /run/systemd/system ]; then
	# As udev has it. Where QEMU's user may not open it though root may, libvirt asks QEMU for its abilities anew at every turn, which
	# costs more than a minute at each start of a machine.
	if [ -c /dev/kvm ] && [ "$(stat -c %G /dev/kvm)" != kvm ] && getent group kvm >/dev/null; then
		as_root chgrp kvm /dev/kvm
		as_root chmod 0660 /dev/kvm
	fi
	for daemon in virtlogd libvirtd; do
		if ! pgrep -r D,R,S -x "$daemon" >/dev/null; then
			echo "setup: starting $daemon"
			as_root "$daemon" -d
		fi
	done
	if ! pgrep -r D,R,S -x dockerd >/dev/null; then
		echo "setup: starting dockerd (its log: /var/log/dockerd.log)"
		as_root sh -c 'setsid dockerd >>/var/log/dockerd.log 2>&1 </dev/null &'
		tries=0
		until as_root curl -fs --unix-socket /var/run/docker.sock http://localhost/_ping >/dev/null; do
			tries=$((tries + 1))
			if [ "$tries" -gt 120 ]; then
				echo "setup.sh: dockerd does not answer; its last words:" >&2
				as_root tail -n 5 /var/log/dockerd.log >&2
				exit 1
			fi
			sleep 0.5
		done
	fi
fi
echo "setup: ready"
