# The first process of a machine's container, until it becomes systemd.
set -e
# systemd keeps its units apart by control groups below the container's own, which the daemon mounts for reading only. This is all that the capability
# to mount is for; with the next line but one nobody has it any more.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	mount -o remount,rw,bind /sys/fs/cgroup
else
	mount -o remount,rw,bind /sys/fs/cgroup/systemd
fi
# The daemon writes /etc/hosts anew at each start; the machines' names that were laid are kept beside it.
if [ -r /etc/evenkeel/hosts ]; then
	{
		echo '# evenkeel: machines'
		cat /etc/evenkeel/hosts
		echo '# evenkeel: end'
	} >>/etc/hosts
fi
exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin /sbin/init
