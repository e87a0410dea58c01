#!/bin/sh
# The base of a release, after tree.sh: runs as mmdebstrap's last hook, with the tree in $1 and guest.tar, enable, mask, user in the working
# folder $EVENKEEL_WORK.
set -eu
root=$1
cd "$EVENKEEL_WORK"

# mmdebstrap copies these from the machine that builds.
inside sh -c 'rm -f /etc/hostname; [ -L /etc/resolv.conf ] || rm -f /etc/resolv.conf'

# What every image holds comes after the packages, so that no package finds its configuration "changed by the administrator".
inside tar -xpf - --no-overwrite-dir --keep-directory-symlink < guest.tar
set -f # a password field of "*" is no pattern
user=$(cat user)
# shellcheck disable=SC2086 # arguments of useradd
inside id "${user##* }" > /dev/null 2>&1 || inside useradd $user
set +f

# sysinit.target, and so sshd, would wait until these two are ready; so would network.target, and sshd comes after it. What needs them is ordered
# after nss-lookup.target and time-sync.target.
for unit in systemd-resolved.service systemd-timesyncd.service; do
	# shellcheck disable=SC2016 # the inner shell's
	inside sh -c 'sed "/^Before=/s/ *\(sysinit\|network\)\.target//g" "/lib/systemd/system/$1" > "/etc/systemd/system/$1"' sh "$unit"
done

# Without this each login over SSH, each command too, first runs a handful of programs for a message of the day.
# shellcheck disable=SC2016 # sed's
inside sed -i 's,^\(session .*pam_motd\.so  *motd=/run/motd\.dynamic\)$,\1 noupdate,' /etc/pam.d/sshd

while read -r unit; do
	inside systemctl --quiet enable "$unit" || { echo "cannot enable $unit"; exit 1; }
done < enable
while read -r unit; do
	inside systemctl --quiet mask "$unit"
done < mask

# Kernel and initramfs-tools were installed with their initrd left out: it is made once, with the configuration above.
inside rm /usr/sbin/update-initramfs
inside dpkg-divert --quiet --local --rename --remove /usr/sbin/update-initramfs
echo "evenkeel: initrd"
inside update-initramfs -c -k all
