# The first process of a machine's container, until it becomes systemd.
set -e
# systemd keeps its units apart by control groups below the container's own, which the daemon mounts for reading only. This is all that the capability
# to mount is for; with the next line but one nobody has it any more.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	mount -o remount,rw,bind /sys/fs/cgroup
else
	mount -o remount,rw,bind /sys/fs/cgroup/systemd
fi
# The daemon writes /etc/hosts anew at each start. It is to say what it says on every other machine; the names that were laid are kept beside it.
read -r name </etc/hostname
{
	printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost ip6-localhost ip6-loopback\n' "$name"
	if [ -r /etc/evenkeel/hosts ]; then
		echo '# evenkeel: machines'
		cat /etc/evenkeel/hosts
		echo '# evenkeel: end'
	fi
} >/etc/hosts
exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin /sbin/init
