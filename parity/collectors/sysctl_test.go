// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestSysctl(t *testing.T)      { testGolden(t, "sysctl") }
func TestSysctlFiles(t *testing.T) { testGolden(t, "sysctl_files") }

func TestSysctlOfThisMachine(t *testing.T) {
	release, err := os.ReadFile("/proc/sys/vm/swappiness")
	if err != nil {
		t.Fatal(err)
	}
	everyShell(t, "sysctl", func(t *testing.T, r read) {
		got := r.known(t)
		if v := value(got, "vm.swappiness"); v != strings.TrimSpace(string(release)) {
			t.Errorf("vm.swappiness is %q", v)
		}
		// trap: counters and random numbers would make each machine's text its own.
		for _, key := range []string{"kernel.random.uuid", "kernel.random.boot_id", "fs.dentry-state", "fs.file-nr", "kernel.ns_last_pid", "kernel.hostname", "net.ipv4.tcp_fastopen_key"} {
			if itemAt(got, key).Key != "" {
				t.Errorf("%s was read", key)
			}
		}
	})
}

// trap: 7 of 1,429 settings changed in 2 s.
func TestSysctlSaysTheSameTwice(t *testing.T) {
	g := group(t, "sysctl")
	one, _ := said(t, g, "1", "sh", "-c")
	if two, _ := said(t, g, "1", "sh", "-c"); !bytes.Equal(one, two) {
		t.Error("two readings differ")
	}
}

func TestWhatOnlyRootMayReadIsUnknownToAPlainUser(t *testing.T) {
	if !isRoot() {
		t.Skip("root's own settings are looked for")
	}
	for _, words := range shells(t) {
		asRoot, _ := said(t, group(t, "sysctl"), "1", words...)
		asUser, why := said(t, group(t, "sysctl"), "0", plain(t, words)...)
		if why != "" {
			t.Fatal(why)
		}
		all, some := items(t, group(t, "sysctl"), asRoot), items(t, group(t, "sysctl"), asUser)
		unknown := 0
		for _, item := range some {
			if item.Unknown != "" {
				unknown++
			}
		}
		if len(all) != len(some) || unknown == 0 {
			t.Errorf("%s: root reads %d, a user %d, of which %d are unknown", words[0], len(all), len(some), unknown)
		}
	}
}

func TestSysctlKeysAreWrittenOneWay(t *testing.T) {
	same(t, items(t, group(t, "sysctl"), []byte("/proc/sys/net/ipv4/conf/eth0.100/rp_filter:1\n/proc/sys/net/ipv4/tcp_rmem:4096\t131072\t6291456\n/proc/sys/dev/cdrom/info:CD-ROM\n/proc/sys/dev/cdrom/info:\n/proc/sys/dev/cdrom/info:drive name:\tsr0")),
		map[string]string{"net.ipv4.conf.eth0/100.rp_filter": "1", "net.ipv4.tcp_rmem": "4096 131072 6291456", "dev.cdrom.info": "CD-ROM; ; drive name: sr0"})
	same(t, items(t, group(t, "sysctl_files"), []byte("/etc/sysctl.d/1.conf:net/ipv4/conf/eth0.100/rp_filter = 2\n/etc/sysctl.d/1.conf:-net.ipv4.conf.eth0/101.rp_filter=\t0 1\n/etc/sysctl.d/1.conf:-net.ipv4.conf.lo.rp_filter\n")),
		map[string]string{"net.ipv4.conf.eth0/100.rp_filter": "2", "net.ipv4.conf.eth0/101.rp_filter": "0 1", "-net.ipv4.conf.lo.rp_filter": "left out of patterns"})
}

func TestTheLastSysctlFileWins(t *testing.T) {
	tree := newTree(t)
	tree.write("/etc/sysctl.d/50-a.conf", "# comment\nvm.swappiness = 1\nkernel.panic=5\n\n ; another\n")
	tree.write("/etc/sysctl.d/60-off.conf", "-> /dev/null")
	tree.write("/etc/sysctl.d/99-sysctl.conf", "-> ../sysctl.conf")
	tree.write("/etc/sysctl.conf", "vm/swappiness=3")
	tree.write("/run/sysctl.d/50-a.conf", "kernel.panic = 1\nkernel.sysrq = 1\n")
	tree.write("/run/sysctl.d/70-b.conf", "vm.swappiness = 2\n")
	tree.write("/usr/lib/sysctl.d/60-off.conf", "kernel.dmesg_restrict = 1\n")
	tree.write("/usr/lib/sysctl.d/00-first.conf", "vm.swappiness = 9\nfs.protected_fifos = 2")
	for _, words := range shells(t) {
		// The tree's /usr has no programs: only its sysctl.d takes the place of the machine's.
		raw, unknown := said(t, group(t, "sysctl_files"), "1", tree.at("/usr/lib/sysctl.d").run(words)...)
		if unknown != "" {
			t.Fatal(unknown)
		}
		same(t, items(t, group(t, "sysctl_files"), raw), map[string]string{"vm.swappiness": "3", "kernel.panic": "5", "fs.protected_fifos": "2"})
	}
}

func TestNoSettingsAtAllIsUnknown(t *testing.T) {
	if got, err := group(t, "sysctl").Parse(nil); err == nil {
		t.Errorf("got %v", got)
	}
}

func FuzzSysctl(f *testing.F) {
	fuzz(f, "sysctl", "/proc/sys/vm/swappiness:60\n? /proc/sys/vm/x\n/proc/sys/dev/cdrom/info:a\n/proc/sys/dev/cdrom/info:b")
}

func FuzzSysctlFiles(f *testing.F) {
	fuzz(f, "sysctl_files", "/etc/sysctl.d/a.conf:vm.swappiness = 1\n/etc/sysctl.conf:-a/b.c=1\n/run/sysctl.d/b.conf:-x")
}
