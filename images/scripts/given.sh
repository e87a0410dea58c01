#!/bin/sh
# The base of a recipe that starts from a tree built elsewhere, after tree.sh. The working folder holds tree.tar, what base.sh wants, and, of
# what every image holds, the packages that the tree lacks: packages (names, one a line) and repo/. $1 is the size of the memory file
# system to work in, "" for the disk. The base goes to standard output as a tar; all else to standard error.
set -eu
exec 3>&1 1>&2
umask 022
root=$PWD/root
mkdir root
[ -z "$1" ] || mount -t tmpfs -o "size=$1,mode=0755" tmpfs root
tar -C root -xpf tree.tar --numeric-owner --xattrs --xattrs-include='*'
mkdir -p root/dev root/proc root/run root/sys root/tmp
chmod 1777 root/tmp

enter
lend_repo
quiet
# What the tree was started with elsewhere is made anew, and the kernel's command line names the root file system.
inside sh -c '
	rm -f /etc/fstab /boot/initrd.img-*
	dpkg-divert --quiet --local --rename --divert /usr/sbin/update-initramfs.evenkeel --add /usr/sbin/update-initramfs
	printf "#!/bin/sh\nexit 0\n" > /usr/sbin/update-initramfs && chmod 0755 /usr/sbin/update-initramfs'
install_packages packages
EVENKEEL_WORK=$PWD
set -- "$root"
. ./base.sh
loud
leave
tar -C "$root" -c --one-file-system --sort=name --numeric-owner --xattrs --xattrs-include='*' --format=pax . >&3
