#!/bin/sh
# The recipe's part of an image, over the base tree, after tree.sh. Runs as root in namespaces of its own without network. The working folder holds:
#   base.tar      the base tree                     repo/     the recipe's package files with their index
#   early.tar     files laid before packages        files.tar files laid after, owners by name; owners: the names
#   packages      names, one a line                 accounts  useradd arguments, one account a line
#   services      "enable UNIT", one a line         steps/    provision scripts, in order
# $1 is the size of the memory file system to work in, "" for the disk. The finished tree goes to standard output as a tar; all else to standard error.
set -eu
exec 3>&1 1>&2
umask 022
root=root
mkdir root
[ -z "$1" ] || mount -t tmpfs -o "size=$1,mode=0755" tmpfs root
echo "evenkeel: unpack"
tar -C root -xpf base.tar --exclude='./dev/*' --numeric-owner --xattrs --xattrs-include='*'

enter
lend_repo
lend steps
quiet
inside tar -xpf - --no-overwrite-dir --keep-directory-symlink < early.tar

echo "evenkeel: packages"
install_packages packages

echo "evenkeel: configure"
while read -r args; do
	# shellcheck disable=SC2086 # words checked when the recipe was loaded
	inside useradd $args
done < accounts
while read -r kind name; do
	inside getent "$kind" "$name" > /dev/null || { echo "the recipe gives files to $name, which is no $kind entry of the image"; exit 1; }
done < owners
inside tar -xpf - --no-overwrite-dir --keep-directory-symlink < files.tar

while read -r deed unit; do
	inside systemctl --quiet "$deed" "$unit" || { echo "cannot $deed the service $unit"; exit 1; }
done < services

for script in steps/*; do
	[ -f "$script" ] || continue
	echo "evenkeel: provision ${script#steps/}"
	inside "/run/evenkeel/$script" < /dev/null || { echo "the step ${script#steps/*-} failed with status $?"; exit 1; }
done

loud
# shellcheck disable=SC2016 # fields of dpkg, not of the shell
inside dpkg-query -W -f '${db:Status-Status} ${Package} ${Version} ${Architecture}\n' > installed
leave
echo "evenkeel: collect"
tar -C root -c --one-file-system --sort=name --numeric-owner --xattrs --xattrs-include='*' --format=pax \
	--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime . >&3
