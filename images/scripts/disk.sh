#!/bin/sh
# A disk with its root file system. Runs as root in namespaces of its own, in a working folder that holds head.raw: the disk with partition
# table and boot loader. $1 is the size of the memory file system to work in, "" for the disk; $2 the tree's tar, $3 raw or qcow2: disk.$3
# is made, $4 the root file system's blocks, and the rest are options of mke2fs.
set -eu
memory=$1 tree=$2 format=$3 blocks=$4
shift 4
mkdir disk
[ -z "$memory" ] || mount -t tmpfs -o "size=$memory,mode=0755" tmpfs disk
mkdir disk/root
cp --sparse=always head.raw disk/disk.raw

echo "evenkeel: unpack"
# A plain user may make no devices, and needs none: the kernel mounts its own /dev.
tar --extract --file "$tree" --directory disk/root --preserve-permissions --same-owner --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/*'
echo "evenkeel: file system"
mke2fs "$@" -d disk/root disk/disk.raw "$blocks"
echo "evenkeel: $format"
case $format in
raw) cp --sparse=always disk/disk.raw disk.raw ;;
qcow2) qemu-img convert -q -f raw -O qcow2 disk/disk.raw disk.qcow2 ;;
esac
[ -n "$memory" ] || rm -rf disk
