// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"slices"
	"strings"
)

// LaneRule says that facts which match are not compared everywhere, and why. docs/lanes.md is this table for readers; a test holds them together.
type LaneRule struct {
	Match string // SECTION/KEY with * for any text
	Lane  Lane
	Why   string
}

// LaneRules are all exceptions from the stable lane. The first that matches wins.
func LaneRules() []LaneRule {
	return []LaneRule{
		{"etc//etc/machine-id", Identity, "a machine's own id: two machines with one id share DHCP leases and journals"},
		{"etc//etc/ssh/ssh_host_*", Identity, "host keys and their certificates: who has one can pose as the other machine"},
		{"etc//etc/evenkeel/tls/ca.pem", Place, "each environment has an authority of its own"},
		{"etc//etc/evenkeel/tls/*", Identity, "a machine's own certificate and key"},
		{"etc//etc/evenkeel/settled", Volatile, "the record of what was laid is salted for each machine; the section settled says what it comes to"},
		{"etc//etc/evenkeel/.settle*", Volatile, "where a run that settles the machine works at this moment"},
		{"etc//etc/evenkeel/nft/external.nft", Volatile, "addresses of hosts elsewhere, which each machine looks up every minute"},
		{"etc//etc/evenkeel/*", Place, "settings, secrets, names, keys and rules that the definition lays by tier: they differ where it says so"},
		{"etc//etc/hostname", Volatile, "the machine's own name, which our records have"},
		{"etc//etc/mailname", Volatile, "made from the machine's own name"},
		{"etc//etc/resolv.conf", Place, "name servers belong to a network"},
		{"etc//etc/systemd/network/10-evenkeel-*", Volatile, "the machine's own addresses, which the place gave and first boot laid"},
		{"etc//etc/systemd/system/*evenkeel-expires.*", Volatile, "switches the machine off when its environment expires, which the labels say; laid where the tier has a ttl"},
		{"etc//etc/network/interfaces*", Place, "addresses and device names that the place gave"},
		{"etc//etc/netplan/*", Place, "addresses and device names that the place gave"},
		{"etc//etc/cloud/*", Place, "what a cloud's first boot left, by its data source"},
		{"etc//etc/fstab", Place, "devices by the place's names; what is mounted is compared in the section mounts"},
		{"etc//etc/adjtime", Volatile, "drift of the hardware clock"},
		{"etc//etc/.updated", Volatile, "the time of the last ConditionNeedsUpdate"},
		{"etc//etc/ld.so.cache", Volatile, "an index made from installed libraries, which are compared by package"},
		{"etc//etc/mtab", Volatile, "a picture of what is mounted now"},
		{"etc//etc/passwd-", Volatile, "a backup that account tools leave"},
		{"etc//etc/group-", Volatile, "a backup that account tools leave"},
		{"etc//etc/shadow*", Volatile, "password hashes are never read; users and their states are compared in the section users"},
		{"etc//etc/gshadow*", Volatile, "password hashes are never read; groups are compared in the section groups"},
		{"etc//etc/subuid-", Volatile, "a backup that account tools leave"},
		{"etc//etc/subgid-", Volatile, "a backup that account tools leave"},
		{"etc//etc/.pwd.lock", Volatile, "a lock of account tools"},
		{"etc//etc/ssl/certs/ssl-cert-snakeoil*", Identity, "a certificate that Debian makes on each machine"},
		{"etc//etc/ssl/private/*", Identity, "private keys: each machine its own; their content is never read"},
		{"etc//etc/iscsi/initiatorname.iscsi", Identity, "a machine's own name on storage networks"},
		{"etc//etc/nvme/host*", Identity, "a machine's own name on storage networks"},
		{"etc//etc/hostid", Identity, "a machine's own id"},
		{"etc//etc/insights-client/machine-id", Identity, "a machine's own id"},
		{"etc//etc/machine-info", Place, "what the machine is called and where it stands"},
		{"etc//etc/sysconfig/network-scripts/ifcfg-*", Place, "addresses and device names that the place gave"},
		{"etc//etc/NetworkManager/system-connections/*", Place, "addresses and device names that the place gave"},
		{"etc//etc/lvm/backup/*", Volatile, "the machine's own volumes, as LVM wrote them down"},
		{"etc//etc/lvm/archive/*", Volatile, "the machine's own volumes, as LVM wrote them down"},
		{"etc//etc/.git/*", Volatile, "the machine's own history by etckeeper, which is not listed at all"},
		{"sysctl/fs.dentry-state", Volatile, "a counter"},
		{"sysctl/fs.file-nr", Volatile, "a counter"},
		{"sysctl/fs.inode-*", Volatile, "a counter"},
		{"sysctl/fs.quota.*", Volatile, "counters"},
		{"sysctl/fs.aio-nr", Volatile, "a counter"},
		{"sysctl/fs.file-max", Volatile, "computed from the memory that was free at boot: it differs by a few from boot to boot"},
		{"sysctl/fs.epoll.max_user_watches", Volatile, "computed from the memory that was free at boot: it differs by a few from boot to boot"},
		{"sysctl/fs.inotify.max_user_watches", Volatile, "computed from the memory that was free at boot, unless sysctl_files sets it"},
		{"sysctl/fs.fanotify.max_user_marks", Volatile, "computed from the memory that was free at boot, unless sysctl_files sets it"},
		{"sysctl/fs.binfmt_misc.*", Place, "interpreters that the host of a container registers"},
		{"sysctl/kernel.ns_last_pid", Volatile, "a counter"},
		{"sysctl/kernel.random.*", Volatile, "random numbers and their supply"},
		{"sysctl/kernel.pty.nr", Volatile, "a counter"},
		{"sysctl/kernel.hostname", Volatile, "the machine's own name, which our records have"},
		{"sysctl/kernel.domainname", Place, "a domain of the place"},
		{"sysctl/kernel.osrelease", Volatile, "the kernel's version, which the section os compares"},
		{"sysctl/kernel.version", Volatile, "the kernel's build, which the section os compares"},
		{"sysctl/kernel.threads-max", Volatile, "computed from the memory that was free at boot: it differs by a few from boot to boot"},
		{"sysctl/kernel.cad_pid", Volatile, "a process id"},
		{"sysctl/kernel.real-root-dev", Place, "the root device by the place's numbers"},
		{"sysctl/kernel.bootloader_*", Place, "the boot way of the place"},
		{"sysctl/kernel.nmi_watchdog", Place, "whether the processor has counters for it"},
		{"sysctl/kernel.watchdog*", Place, "which processors are watched, and by what they have"},
		{"sysctl/kernel.numa_*", Place, "of the machine's memory nodes"},
		{"sysctl/kernel.tainted", Place, "marks of the place's drivers and of faults"},
		{"sysctl/kernel.sched_domain.*", Place, "computed from the machine's processors"},
		{"sysctl/kernel.ftrace_*", Place, "computed by the kernel"},
		{"sysctl/kernel.perf_*rate", Volatile, "adjusted by the kernel as it runs"},
		{"sysctl/kernel.pid_max", Place, "computed from the number of processors"},
		{"sysctl/kernel.keys.gc_delay", Place, "adjusted by the kernel"},
		{"sysctl/user.max_*", Volatile, "computed from the memory that was free at boot: it differs by a few from boot to boot"},
		{"sysctl/vm.min_free_kbytes", Place, "computed from the machine's memory"},
		{"sysctl/vm.lowmem_reserve_ratio", Place, "computed from the machine's memory zones"},
		{"sysctl/vm.user_reserve_kbytes", Volatile, "computed from the memory that was free at boot: it differs by a few from boot to boot"},
		{"sysctl/vm.admin_reserve_kbytes", Place, "computed from the machine's memory"},
		{"sysctl/vm.zone_reclaim_mode", Place, "of the machine's memory nodes"},
		{"sysctl/net.core.netdev_rss_key", Volatile, "random, of each boot"},
		{"sysctl/net.ipv4.tcp_mem", Volatile, "computed from the memory that was free at boot: it differs by a few from boot to boot"},
		{"sysctl/net.ipv4.udp_mem", Volatile, "computed from the memory that was free at boot: it differs by a few from boot to boot"},
		{"sysctl/net.ipv4.tcp_?mem", Place, "computed from the machine's memory"},
		{"sysctl/net.ipv4.tcp_max_*", Place, "computed from the machine's memory"},
		{"sysctl/net.ipv4.*hash_entries", Place, "computed from the machine's memory"},
		{"sysctl/net.ipv4.tcp_*_congestion_control", Place, "which modules are loaded now; the one in force is compared"},
		{"sysctl/net.ipv4.tcp_fastopen_key", Volatile, "a secret of each machine, zeros where none was set"},
		{"sysctl/net.ipv6.conf.*.stable_secret", Volatile, "a secret of each machine"},
		{"sysctl/net.ipv4.inet_peer_threshold", Place, "computed from the machine's memory"},
		{"sysctl/net.ipv4.route.*", Place, "computed from the machine's memory"},
		{"sysctl/net.ipv?.neigh.default.*", Stable, "holds for all devices"},
		{"sysctl/net.ipv?.neigh.*", Place, "by network device, whose names the place gives"},
		{"sysctl/net.ipv?.conf.all.*", Stable, "holds for all devices"},
		{"sysctl/net.ipv?.conf.default.*", Stable, "holds for all devices"},
		{"sysctl/net.ipv?.conf.lo.*", Stable, "every machine has it"},
		{"sysctl/net.ipv?.conf.*", Place, "by network device, whose names the place gives"},
		{"sysctl/net.netfilter.nf_conntrack_count", Volatile, "a counter"},
		{"sysctl/net.netfilter.nf_conntrack_buckets", Place, "computed from the machine's memory"},
		{"sysctl/net.netfilter.nf_conntrack_*max", Place, "computed from the machine's memory"},
		{"sysctl/net.nf_conntrack_max", Place, "computed from the machine's memory"},
		{"sysctl/dev.*", Place, "by device, whose names the place gives"},
		{"sysctl/sunrpc.transports", Volatile, "what is loaded now"},
		{"firewall/*set from-*", Place, "addresses of the machines of a kind, which the place gives; the rules that use them are compared"},
		{"firewall/* of a container's resolver", Volatile, "what its engine's resolver needs, by ports that the engine picks"},
		{"firewall/* chain DOCKER*", Place, "rules that a container engine writes for its containers"},
		{"firewall/* chain KUBE-*", Place, "rules that a container engine writes for its containers"},
		{"firewall/* chain CNI-*", Place, "rules that a container engine writes for its containers"},
		{"firewall/* chain LIBVIRT_*", Place, "rules that libvirt writes for its networks"},
		{"modules/*_diag", Volatile, "loaded by whoever asks for sockets"},
		{"modules/binfmt_misc", Volatile, "loaded by whoever looks into its folder"},
		{"timers/evenkeel-external.timer", Place, "runs where a tier has hosts stand for kinds of machines, which the definition says by tier"},
		{"timers/evenkeel-expires.timer", Volatile, "runs where the tier has a ttl"},
		{"modules/*", Place, "drivers of the place's hardware; which modules are configured is compared in etc"},
		{"cmdline/ip", Volatile, "the machine's own address"},
		{"cmdline/BOOTIF", Volatile, "the machine's own network card"},
		{"cmdline/*hostname", Volatile, "the machine's own name, which our records have"},
		{"cmdline/systemd.machine_id", Volatile, "the machine's own id, which etc_own has"},
		{"cmdline/*", Place, "the boot way of the place adds console and root device"},
		{"boot/*", Volatile, "of this boot; ages are judged by themselves"},
		{"birth/*", Volatile, "of this machine; ages are judged by themselves"},
		{"conffiles/*", Volatile, "says which files of packages were changed; that they were is told by etc, once"},
		{"settled/*", Volatile, "digests with a salt of the machine's own"},
		{"updates/*", Volatile, "judged as a finding of its own"},
		{"units/getty@tty*", Place, "consoles that the place has"},
		{"units/serial-getty@*", Place, "consoles that the place has"},
		{"units/console-getty.service", Place, "consoles that the place has"},
		{"units/evenkeel-external.timer", Place, "runs where the definition names hosts that stand for kinds, which it does by tier"},
		{"units/evenkeel-expires.*", Volatile, "there where the tier has a ttl"},
		{"units/* last-run", Volatile, "how the last run of a job ended, which is a monitor's to tell"},
		{"ports/udp/*/68", Place, "whether the place gives addresses by DHCP"},
		{"ports/udp/*/546", Place, "whether the place gives addresses by DHCP"},
		{"ports/*-ephemeral", Volatile, "a port that the kernel picked"},
		{"time/offset*", Volatile, "a measurement"},
		{"os/hostname", Volatile, "the machine's own name, which our records have"},
		{"os/reboot_*", Volatile, "judged as a finding of its own"},
		{"os/memory*", Place, "a machine's size, which the definition may say by tier"},
		{"os/cpus*", Place, "a machine's size, which the definition may say by tier"},
		{"os/virtualization*", Place, "what the place is made of"},
		{"mounts/* from", Place, "servers by the place's names and addresses"},
		{"mounts//dev/*", Place, "devices by the place's names"},
		{"mounts//run/user/*", Volatile, "of who is logged in"},
	}
}

// OwnSuffix is how the name of a section ends that holds what each machine has of its own of another: etc_own, of etc.
const OwnSuffix = "_own"

// LaneOf is the lane of a fact by LaneRules, "" where none of them matches: then the section's own holds. The rules for etc hold for etc_own too.
func LaneOf(section, key string) Lane {
	subject := strings.TrimSuffix(section, OwnSuffix) + "/" + key
	for _, r := range LaneRules() {
		if matchesAny(r.Match, subject) {
			return r.Lane
		}
	}
	return ""
}

// matchesAny is matches with ? for one byte, which stands before any * here.
func matchesAny(pattern, text string) bool {
	i := strings.IndexByte(pattern, '?')
	if i < 0 {
		return matches(pattern, text)
	}
	head := pattern[:i]
	return len(text) > i && strings.HasPrefix(text, head) && matchesAny(pattern[i+1:], text[i+1:])
}

// byManager reports whether a section means nothing between systems of different package managers: names and paths are other ones.
func byManager(section string) bool {
	return section == "packages" || section == "archives" || section == "conffiles"
}

// ofKernel reports whether a fact is the kernel's: where machines run their host's, it is not theirs.
func ofKernel(section, key string) bool {
	switch section {
	case "sysctl", "modules", "cmdline", "boot":
		return true
	case "os":
		return strings.HasPrefix(key, "kernel") || strings.HasPrefix(key, "reboot")
	case "packages":
		return strings.HasPrefix(key, "linux-image-") || strings.HasPrefix(key, "linux-headers-")
	case "units":
		return slices.Contains(kernelUnits, key)
	case "time":
		return key == "kept_by"
	}
	return false
}

// kernelUnits serve the kernel: its devices, its clock, its audit, the blocks of its disks. Their own conditions keep them from starting in containers.
var kernelUnits = []string{
	"chrony.service", "fstrim.timer", "ntpsec.service", "systemd-journald-audit.socket", "systemd-timesyncd.service",
	"systemd-udevd-control.socket", "systemd-udevd-kernel.socket", "systemd-udevd.service",
}

// ofEngine reports whether a fact of a machine that runs its host's kernel is what its engine made before its first process, which may mount nothing: such
// machines are compared in it among themselves, within a tier.
func ofEngine(section string) bool { return section == "mounts" }
