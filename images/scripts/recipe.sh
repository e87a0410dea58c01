#!/bin/sh
# The recipe's part of an image, over the base tree. Runs as root in namespaces of its own without network. The working folder holds:
#   base.tar      the base tree                     repo/     the recipe's package files with their index
#   early.tar     files laid before packages        files.tar files laid after, owners by name; owners: the names
#   packages      names, one a line                 accounts  useradd arguments, one account a line
#   services      "enable UNIT", one a line         steps/    provision scripts, in order
# $1 is the size of the memory file system to work in, "" for the disk. The finished tree goes to standard output as a tar; all else to standard error.
set -eu
exec 3>&1 1>&2
umask 022

# Runs a program in the tree. What packages and steps bring is root there and nowhere else: on the way in it gives up for good what reaches
# beyond a tree (mounts, devices, the kernel, other processes, a way out of chroot). What it keeps is what installing needs, see
# capabilities(7): CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE AUDIT_WRITE SETFCAP. It is Perl, which
# mmdebstrap brings, because no tool of util-linux gives up chroot after it; 24 is PR_CAPBSET_DROP.
inside() {
	perl -we '
		use Errno "EINVAL";
		require "syscall.ph";
		my %keep = map { $_ => 1 } 0, 1, 3 .. 8, 10, 29, 31;
		chroot "root" and chdir "/" or die "cannot enter the tree: $!\n";
		for my $capability (grep { !$keep{$_} } 0 .. 63) {
			syscall(&SYS_prctl, 24, $capability, 0, 0, 0) == 0 or $! == EINVAL or die "cannot give up capability $capability: $!\n";
		}
		exec { $ARGV[0] } @ARGV or die "cannot run $ARGV[0]: $!\n";
	' "$@" 3>&-
}

mkdir root
[ -z "$1" ] || mount -t tmpfs -o "size=$1,mode=0755" tmpfs root
echo "evenkeel: unpack"
tar -C root -xpf base.tar --exclude='./dev/*' --numeric-owner --xattrs --xattrs-include='*'

mount -t proc -o nosuid,nodev,noexec proc root/proc
mount -t sysfs -o nosuid,nodev,noexec,ro sysfs root/sys
# The kernel's settings are the whole machine's, and root may write them without any further right.
for name in sys sysrq-trigger irq bus fs; do
	[ -e "root/proc/$name" ] || continue
	mount --bind "root/proc/$name" "root/proc/$name"
	mount -o remount,bind,ro,nosuid,nodev,noexec "root/proc/$name"
done
[ ! -e root/proc/kcore ] || mount --bind /dev/null root/proc/kcore
mount -t tmpfs -o nosuid,mode=0755 tmpfs root/dev
mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs root/run
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs root/tmp
mkdir root/dev/pts root/dev/shm root/run/lock root/run/evenkeel root/run/evenkeel/repo root/run/evenkeel/steps
mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=620 devpts root/dev/pts
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs root/dev/shm
ln -s pts/ptmx root/dev/ptmx
ln -s /proc/self/fd root/dev/fd
ln -s /proc/self/fd/0 root/dev/stdin
ln -s /proc/self/fd/1 root/dev/stdout
ln -s /proc/self/fd/2 root/dev/stderr
for node in null zero full random urandom tty; do
	: > "root/dev/$node"
	mount --bind "/dev/$node" "root/dev/$node"
done
for dir in repo steps; do # of the repo, the files are the store's own
	mount --bind "$dir" "root/run/evenkeel/$dir"
	mount -o remount,bind,ro "root/run/evenkeel/$dir"
done

# No package starts a service while it is installed.
printf '#!/bin/sh\nexit 101\n' > root/usr/sbin/policy-rc.d
chmod 0755 root/usr/sbin/policy-rc.d
mv root/usr/sbin/start-stop-daemon root/usr/sbin/start-stop-daemon.evenkeel
printf '#!/bin/sh\nexit 0\n' > root/usr/sbin/start-stop-daemon
chmod 0755 root/usr/sbin/start-stop-daemon

inside tar -xpf - --no-overwrite-dir --keep-directory-symlink < early.tar

echo "evenkeel: packages"
if [ -s packages ]; then
	cat > root/run/evenkeel/apt.conf <<-'EOF'
		Dir::Etc::sourcelist "/run/evenkeel/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::State::lists "/run/evenkeel/lists";
		Dir::Cache "/run/evenkeel/cache";
		Dir::Log "/run/evenkeel/log";
		APT::Install-Recommends "false";
		APT::Sandbox::User "root";
		APT::Get::Assume-Yes "true";
		Acquire::Languages "none";
		DPkg::Options { "--force-unsafe-io"; "--force-confold"; "--force-confdef"; };
		Dpkg::Use-Pty "false";
	EOF
	mkdir -p root/run/evenkeel/lists/partial root/run/evenkeel/cache/archives/partial root/run/evenkeel/log
	# The files were checked against the lock, hash by hash, and are so again by apt against the index made from it.
	echo "deb [trusted=yes] file:/run/evenkeel/repo ./" > root/run/evenkeel/sources.list
	export APT_CONFIG=/run/evenkeel/apt.conf
	inside apt-get -q update
	# shellcheck disable=SC2046 # one word a package
	inside apt-get -q --no-remove install -- $(cat packages)
	unset APT_CONFIG
fi

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

inside rm /usr/sbin/policy-rc.d
inside mv /usr/sbin/start-stop-daemon.evenkeel /usr/sbin/start-stop-daemon
# shellcheck disable=SC2016 # fields of dpkg, not of the shell
inside dpkg-query -W -f '${db:Status-Status} ${Package} ${Version} ${Architecture}\n' > installed
umount -R root/dev root/run root/tmp root/proc root/sys
echo "evenkeel: collect"
tar -C root -c --one-file-system --sort=name --numeric-owner --xattrs --xattrs-include='*' --format=pax \
	--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime . >&3
