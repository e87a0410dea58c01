#!/bin/sh
# The base of a release: runs as mmdebstrap's last hook, with the tree in $1 and guest.tar, enable, mask, user in the working folder
# $EVENKEEL_WORK.
set -eu
root=$1
cd "$EVENKEEL_WORK"

# mmdebstrap copies these from the machine that builds.
rm -f "$root/etc/hostname"
[ -L "$root/etc/resolv.conf" ] || rm -f "$root/etc/resolv.conf"

# What every image holds comes after the packages, so that no package finds its configuration "changed by the administrator".
tar -C "$root" -xpf guest.tar --no-overwrite-dir --keep-directory-symlink
set -f # a password field of "*" is no pattern
# shellcheck disable=SC2046 # arguments of useradd
chroot "$root" useradd $(cat user)
set +f

while read -r unit; do
	chroot "$root" systemctl --quiet enable "$unit" || { echo "cannot enable $unit"; exit 1; }
done < enable
while read -r unit; do
	chroot "$root" systemctl --quiet mask "$unit"
done < mask

# Kernel and initramfs-tools were installed with their initrd left out: it is made once, with the configuration above.
rm "$root/usr/sbin/update-initramfs"
chroot "$root" dpkg-divert --quiet --local --rename --remove /usr/sbin/update-initramfs
echo "evenkeel: initrd"
chroot "$root" update-initramfs -c -k all
