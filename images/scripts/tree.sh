# What base.sh, given.sh and recipe.sh have in common. $root is the tree: what packages and steps laid there is not trusted, so nothing but "inside"
# follows its names.

# inside runs a program in the tree. What packages and steps bring is root there and nowhere else: on the way in it gives up for good what
# reaches beyond a tree (mounts, devices, the kernel, other processes, a way out of chroot). What it keeps is what installing needs, see
# capabilities(7): CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE AUDIT_WRITE SETFCAP. It is Perl, which
# mmdebstrap brings, because no tool of util-linux gives up chroot after it; 24 is PR_CAPBSET_DROP.
inside() {
	perl -we '
		use Errno "EINVAL";
		require "syscall.ph";
		my %keep = map { $_ => 1 } 0, 1, 3 .. 8, 10, 29, 31;
		my $root = shift @ARGV;
		chroot $root and chdir "/" or die "cannot enter the tree: $!\n";
		for my $capability (grep { !$keep{$_} } 0 .. 63) {
			syscall(&SYS_prctl, 24, $capability, 0, 0, 0) == 0 or $! == EINVAL or die "cannot give up capability $capability: $!\n";
		}
		exec { $ARGV[0] } @ARGV or die "cannot run $ARGV[0]: $!\n";
	' "$root" "$@" 3>&-
}

# enter makes the tree ready for programs that expect a running system around them.
enter() {
	mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
	mount -t sysfs -o nosuid,nodev,noexec,ro sysfs "$root/sys"
	# The kernel's settings are the whole machine's, and root may write them without any further right.
	for name in sys sysrq-trigger irq bus fs; do
		[ -e "$root/proc/$name" ] || continue
		mount --bind "$root/proc/$name" "$root/proc/$name"
		mount -o remount,bind,ro,nosuid,nodev,noexec "$root/proc/$name"
	done
	[ ! -e "$root/proc/kcore" ] || mount --bind /dev/null "$root/proc/kcore"
	mount -t tmpfs -o nosuid,mode=0755 tmpfs "$root/dev"
	mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs "$root/run"
	mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$root/tmp"
	mkdir "$root/dev/pts" "$root/dev/shm" "$root/run/lock" "$root/run/evenkeel"
	mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
	mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$root/dev/shm"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	ln -s /proc/self/fd/0 "$root/dev/stdin"
	ln -s /proc/self/fd/1 "$root/dev/stdout"
	ln -s /proc/self/fd/2 "$root/dev/stderr"
	for node in null zero full random urandom tty; do
		: > "$root/dev/$node"
		mount --bind "/dev/$node" "$root/dev/$node"
	done
}

# leave is its opposite.
leave() {
	umount -R "$root/dev" "$root/run" "$root/tmp" "$root/proc" "$root/sys"
}

# lend shows the folder $1 of the builder's at /run/evenkeel of the tree, to be read only: package files are the store's own. It is to be
# called before anything ran inside.
lend() {
	mkdir "$root/run/evenkeel/$1"
	mount --bind "$1" "$root/run/evenkeel/$1"
	mount -o remount,bind,ro "$root/run/evenkeel/$1"
}

# lend_repo lends the folder "repo" with an apt configuration of its own.
lend_repo() {
	cat > repo/apt.conf <<-'EOF'
		Dir::Etc::sourcelist "/run/evenkeel/repo/sources.list";
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
	# The files were checked against the lock, hash by hash, and are so again by apt against the index made from it.
	echo "deb [trusted=yes] file:/run/evenkeel/repo ./" > repo/sources.list
	lend repo
}

# install_packages installs the packages that the file $1 names, one a line, from the lent repo.
install_packages() {
	[ -s "$1" ] || return 0
	inside mkdir -p /run/evenkeel/lists/partial /run/evenkeel/cache/archives/partial /run/evenkeel/log
	export APT_CONFIG=/run/evenkeel/repo/apt.conf
	inside apt-get -q update
	# shellcheck disable=SC2046 # one word a package
	inside apt-get -q --no-remove install -- $(cat "$1")
	unset APT_CONFIG
}

# quiet keeps packages from starting services while they are installed, until loud.
quiet() {
	inside sh -c '
		cd /usr/sbin && mv start-stop-daemon start-stop-daemon.evenkeel
		printf "#!/bin/sh\nexit 101\n" > policy-rc.d && printf "#!/bin/sh\nexit 0\n" > start-stop-daemon
		chmod 0755 policy-rc.d start-stop-daemon'
}
loud() {
	inside sh -c 'cd /usr/sbin && rm policy-rc.d && mv start-stop-daemon.evenkeel start-stop-daemon'
}
